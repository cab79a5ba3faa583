/* A list of files with classes. Paths that lead elsewhere are read, as a list may: the fuzzer is not run by
 * root with secrets. */
#include "tests/fuzz/fuzz.h"

#include "datasets/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *classes = json_pack("[s, s, i]", "a", "b", 7);
	struct ns_source s;
	struct ns_item item;
	const char *path;
	int64_t i;
	int named;

	fuzz_folder();
	fuzz_file("a.png", "\x89PNG", 4);
	path = fuzz_file("x.txt", data, size);
	for (named = 0; named < 2; named++) {
		if (ns_source_open(&s, path, named ? classes : NULL) != NS_OK)
			continue;
		for (i = 0; i < s.items && i < 16; i++)
			(void)ns_source_get(&s, i, &item);
		ns_source_close(&s);
	}
	json_decref(classes);
	return 0;
}
