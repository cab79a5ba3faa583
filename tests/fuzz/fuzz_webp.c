/* WebP: sides in each of its headers, the chunks of the extended format and of animations; lengths are made right again. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <string.h>

static size_t chunk_at(const struct fuzz_bytes *b, uint64_t i, size_t *at)
{
	size_t n;

	for (*at = 12; *at + 8 <= b->size; *at += n, i--) {
		n = 8 + (((size_t)fuzz_get(b, *at + 4, 4, 0) + 1) & ~(size_t)1);
		if (n > b->size - *at)
			n = b->size - *at;
		if (!i)
			return n;
	}
	return 0;
}

static uint64_t count(const struct fuzz_bytes *b)
{
	uint64_t n = 0;
	size_t at;

	while (n < 64 && chunk_at(b, n, &at)) /* each walks from the first */
		n++;
	return n;
}

static void mend(struct fuzz_bytes *b)
{
	if (b->size > 8)
		fuzz_put(b, 4, (uint32_t)(b->size - 8), 4, 0);
}

/* fields from the chunk's beginning, by its name */
static void change_chunk(struct fuzz_bytes *b, size_t at, size_t n)
{
	static const struct fuzz_field extended[] = {{8, 1}, {12, 3}, {15, 3}},
				       frame[] = {{8, 3}, {11, 3}, {14, 3}, {17, 3}, {20, 3}, {23, 1}, {24, 4}},
				       lossy[] = {{8, 3}, {11, 3}, {14, 2}, {16, 2}, {18, 1}}, lossless[] = {{8, 1}, {9, 4}, {13, 1}, {14, 1}};

	if (!memcmp(b->data + at, "VP8X", 4))
		fuzz_change_field(b, at, extended, 3, 0);
	else if (!memcmp(b->data + at, "ANMF", 4))
		fuzz_change_field(b, at, frame, 7, 0);
	else if (!memcmp(b->data + at, "VP8 ", 4))
		fuzz_change_field(b, at, lossy, 5, 0);
	else if (!memcmp(b->data + at, "VP8L", 4))
		fuzz_change_field(b, at, lossless, 4, 0);
	else if (n > 8)
		fuzz_put(b, at + 8 + below(&b->seed, n - 8), fuzz_number(b), 1, 0);
}

/* sides that are small, in whatever header */
static void change_sides(struct fuzz_bytes *b, size_t at)
{
	uint32_t w = (uint32_t)below(&b->seed, 40), h = (uint32_t)below(&b->seed, 40);

	if (!memcmp(b->data + at, "VP8X", 4)) {
		fuzz_put(b, at + 12, w, 3, 0);
		fuzz_put(b, at + 15, h, 3, 0);
	} else if (!memcmp(b->data + at, "VP8 ", 4)) {
		fuzz_put(b, at + 14, w, 2, 0);
		fuzz_put(b, at + 16, h, 2, 0);
	} else if (!memcmp(b->data + at, "VP8L", 4)) {
		fuzz_put(b, at + 9, w | h << 14 | (uint32_t)below(&b->seed, 2) << 28, 4, 0);
	}
}

static void change(struct fuzz_bytes *b)
{
	static const char *const names[] = {"VP8X", "VP8 ", "VP8L", "ANIM", "ANMF", "ALPH", "ICCP", "EXIF", "XMP ", "NSXY"};
	size_t at, n = chunk_at(b, below(&b->seed, count(b) + 1), &at);
	uint8_t copy[600];

	if (n < 8) {
		fuzz_change_any(b);
		return;
	}
	switch (below(&b->seed, 8)) {
	case 0:
		memcpy(b->data + at, names[below(&b->seed, sizeof names / sizeof *names)], 4);
		break;
	case 1:
		n = n < sizeof copy ? n : 0;
		memcpy(copy, b->data + at, n);
		if (fuzz_one_in(b, 2))
			(void)fuzz_replace(b, at, n, NULL, 0);
		if (fuzz_one_in(b, 2) && chunk_at(b, below(&b->seed, count(b) + 1), &at))
			(void)fuzz_replace(b, at, 0, copy, n);
		break;
	case 2:
		fuzz_put(b, at + 4, fuzz_one_in(b, 2) ? fuzz_number(b) : (uint32_t)(b->size - at - 8), 4, 0);
		break;
	case 3:
		change_sides(b, at);
		break;
	case 4: /* an extended header before what had none */
		if (memcmp(b->data + 12, "VP8X", 4) && fuzz_replace(b, 12, 0, "VP8X\12\0\0\0\0\0\0\0\7\0\0\5\0\0", 18))
			fuzz_put(b, 20, (uint32_t)draw(&b->seed), 1, 0);
		break;
	case 5: /* bits of the pixels */
		if (n > 20)
			fuzz_put(b, at + 12 + below(&b->seed, n - 12), (uint32_t)draw(&b->seed), 1, 0);
		break;
	default:
		change_chunk(b, at, n);
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
	return fuzz_mutate(data, size, most, seed, change, mend);
}
