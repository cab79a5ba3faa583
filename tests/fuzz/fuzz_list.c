/* A list of files with classes, of every kind. Paths that lead elsewhere are read, as a list may: the fuzzer is not run by
 * root with secrets. */
#include "tests/fuzz/fuzz.h"

#include "datasets/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *classes = json_pack("[s, s, i]", "a", "b", 7);
	static const char *const names[] = {"x.txt", "x.csv", "x.tsv", "x.jsonl"};
	struct ns_source s;
	struct ns_item item;
	int64_t i;
	int k;

	fuzz_folder();
	fuzz_file("a.png", "\x89PNG", 4);
	for (k = 0; k < 8; k++) { /* as a list of every kind, with classes and without */
		if (ns_source_open(&s, fuzz_file(names[k / 2], data, size), k % 2 ? classes : NULL) != NS_OK)
			continue;
		for (i = 0; i < s.items && i < 16; i++)
			(void)ns_source_get(&s, i, &item);
		ns_source_close(&s);
	}
	json_decref(classes);
	return 0;
}
