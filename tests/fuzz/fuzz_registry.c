/* Entries of a ref's log, the copy of the ref, and an object that is a JSON. */
#include "tests/fuzz/fuzz.h"

#include "host/registry/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"r/log/production/000001.json", "r/log/production/000002.json", "r/log/production/000003.json",
					    "r/refs/production", "r/objects/ab/00000000000000000000000000000000000000000000000000000000000000"};
	char digest[NS_SHA256_HEX];
	struct fuzz_part part[5];
	int n = fuzz_split(data, size, part, 5), i;
	int64_t a, b;
	json_t *json = NULL;
	const char *r;

	fuzz_folder();
	for (i = 0; i < n; i++)
		if (part[i].size)
			fuzz_file(names[i], part[i].data, part[i].size);
	r = fuzz_path("r");
	(void)ns_registry_names(r, &json);
	json_decref(json);
	if (ns_registry_log(r, "production", &json) == NS_OK)
		json_decref(json);
	if (ns_registry_ref(r, "production", digest) == NS_OK && ns_registry_object(r, digest, (char[NS_PATH_MAX]){0}) == NS_OK)
		(void)ns_registry_move(r, "production", digest, NULL, "why", NULL, (char[512]){0});
	(void)ns_registry_previous(r, "production", digest);
	(void)ns_registry_verify(r, &a);
	(void)ns_registry_gc(r, 0, 1, &a, &b);
	(void)ns_registry_gc(r, 0, 0, &a, &b);
	return 0;
}
