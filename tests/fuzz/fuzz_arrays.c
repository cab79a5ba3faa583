/* Arrays of NumPy: a .npy with its labels beside it, or a .npz; forwards, and once back. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "datasets/source/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part part[2];
	struct ns_source s;
	struct ns_item item;
	const char *path;
	int64_t i;

	fuzz_folder();
	if (size >= 2 && !memcmp(data, "PK", 2)) {
		path = fuzz_file("x.npz", data, size);
	} else {
		int parts = fuzz_split(data, size, part, 2);

		path = fuzz_file("x.npy", part[0].data, part[0].size);
		if (parts > 1)
			fuzz_file("y.npy", part[1].data, part[1].size);
	}
	if (ns_source_open(&s, path, NULL) != NS_OK)
		return 0;
	for (i = 0; i < s.items && i < 8; i++)
		(void)ns_source_get(&s, i, &item);
	(void)ns_source_get(&s, s.items - 1, &item);
	(void)ns_source_get(&s, 0, &item);
	ns_source_close(&s);
	return 0;
}
