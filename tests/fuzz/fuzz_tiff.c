/* TIFF: entries of its folder, of strips and tiles, every compression and colour, and bytes of what is packed. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

static void change(struct fuzz_bytes *b)
{
	static const uint16_t tags[] = {254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 284, 292, 293, 301, 317,  320,
					321, 322, 323, 324, 325, 330, 332, 334, 338, 339, 340, 341, 347, 529, 530, 531, 532, 34675};
	static const uint16_t compressions[] = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 32809, 32908, 32909, 34676, 34677, 34712, 34925, 50000, 50001};
	int big = *b->data == 'M';
	size_t at = fuzz_get(b, 4, 4, big), n = fuzz_get(b, at, 2, big), i;

	if (fuzz_one_in(b, 6)) {
		fuzz_change_any(b);
		return;
	}
	for (i = 0; at >= 8 && i < n && i < 64 && fuzz_one_in(b, 8) && at + 14 + 12 * i <= b->size; i++)
		if (fuzz_get(b, at + 2 + 12 * i, 2, big) == 259)
			fuzz_put(b, at + 10 + 12 * i, compressions[below(&b->seed, sizeof compressions / sizeof *compressions)], 2, big);
	fuzz_change_ifd(b, tags, sizeof tags / sizeof *tags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_image(data, size);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
