/* Images and labels in an HDF5 file of others; forwards, and once back. */
#include "tests/fuzz/fuzz.h"

#include "datasets/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_source s;
	struct ns_item item;
	int64_t i;

	fuzz_folder();
	if (ns_source_open(&s, fuzz_file("x.h5", data, size), NULL) != NS_OK)
		return 0;
	for (i = 0; i < s.items && i < 8; i++)
		(void)ns_source_get(&s, i, &item);
	(void)ns_source_get(&s, s.items - 1, &item);
	(void)ns_source_get(&s, 0, &item);
	ns_source_close(&s);
	return 0;
}
