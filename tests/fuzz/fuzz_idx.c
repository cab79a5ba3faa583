/* An IDX pair, packed or not: images, then labels, in one input. Data goes through TMPDIR, which fuzz.sh
 * makes small. */
#include "tests/fuzz/fuzz.h"

#include "datasets/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part part[2];
	struct ns_source s;
	struct ns_item item;
	int parts = fuzz_split(data, size, part, 2);
	const char *path;
	int64_t i;

	fuzz_folder();
	path = fuzz_file("images-idx3-ubyte", part[0].data, part[0].size);
	if (parts > 1)
		fuzz_file("labels-idx1-ubyte", part[1].data, part[1].size);
	if (ns_source_open(&s, path, NULL) != NS_OK)
		return 0;
	for (i = 0; i < s.items && i < 4; i++)
		(void)ns_source_get(&s, i, &item);
	(void)ns_source_get(&s, s.items - 1, &item);
	ns_source_close(&s);
	return 0;
}
