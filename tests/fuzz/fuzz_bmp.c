/* BMP: fields of the three headers, entries of the table of colours, runs. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

/* offset of the pixels, size of the header, width, height, planes, bits, compression, colours; masks; and width to bits of the oldest header */
static const struct fuzz_field fields[] = {{10, 4}, {14, 4}, {18, 4}, {22, 4}, {26, 2}, {28, 2}, {30, 4}, {34, 4}, {46, 4},
					   {50, 4}, {54, 4}, {58, 4}, {62, 4}, {66, 4}, {18, 2}, {20, 2}, {24, 2}};

static void change(struct fuzz_bytes *b)
{
	static const uint8_t bits[] = {1, 2, 4, 8, 16, 24, 32}, run[][2] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 255}, {255, 7}, {1, 1}};
	static const uint8_t sizes[] = {12, 40, 52, 56, 108, 124};

	switch (below(&b->seed, 8)) {
	case 0:
		fuzz_put(b, 28, bits[below(&b->seed, sizeof bits)], 2, 0);
		break;
	case 1:
		fuzz_put(b, 30, (uint32_t)below(&b->seed, 7), 4, 0);
		break;
	case 2:
		fuzz_put(b, 14, sizes[below(&b->seed, sizeof sizes)], 4, 0);
		break;
	case 3: /* a run among the pixels */
		(void)fuzz_replace(b, below(&b->seed, b->size + 1), 0, run[below(&b->seed, 7)], 2);
		break;
	case 4: /* upside down */
		fuzz_put(b, 22, 0 - fuzz_get(b, 22, 4, 0), 4, 0);
		break;
	case 5: /* sides that fit the bytes that are there */
		fuzz_put(b, 18 + 4 * (uint32_t)below(&b->seed, 2), 1 + (uint32_t)below(&b->seed, 40), 4, 0);
		break;
	default:
		fuzz_change_field(b, 0, fields, sizeof fields / sizeof *fields, 0);
		break;
	}
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
