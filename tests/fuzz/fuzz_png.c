/* PNG: the header's fields, chunks put in, left out, moved, and rows changed below their compression; checksums are made right again. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* where chunk number i begins, and its whole length; 0: there is none */
static size_t chunk_at(const struct fuzz_bytes *b, uint64_t i, size_t *at)
{
	size_t n;

	for (*at = 8; *at + 12 <= b->size; *at += n, i--) {
		n = (size_t)fuzz_get(b, *at, 4, 1) + 12;
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

static void put_crc(struct fuzz_bytes *b, size_t at, size_t n)
{
	fuzz_put(b, at, (uint32_t)(n - 12), 4, 1);
	fuzz_put(b, at + n - 4, (uint32_t)crc32(0, b->data + at + 4, (uInt)(n - 8)), 4, 1);
}

static void mend(struct fuzz_bytes *b)
{
	uint64_t i, n = count(b);
	size_t at, bytes;

	for (i = 0; i < n; i++) {
		bytes = chunk_at(b, i, &at);
		put_crc(b, at, bytes);
	}
}

/* the filtered rows in the chunk of pixels, changed */
static void change_rows(struct fuzz_bytes *b)
{
	uint8_t rows[8192], packed[9000];
	uLongf bytes = sizeof rows, n = sizeof packed;
	struct fuzz_bytes inner = {rows, 0, sizeof rows, 0};
	size_t at, whole;
	uint64_t i = 0;

	while ((whole = chunk_at(b, i, &at)) && memcmp(b->data + at + 4, "IDAT", 4))
		i++;
	if (!whole || uncompress(rows, &bytes, b->data + at + 8, (uLong)(whole - 12)) != Z_OK)
		return;
	inner.size = bytes;
	inner.seed = draw(&b->seed);
	if (fuzz_one_in(b, 4)) /* as many as a larger image has */
		(void)fuzz_replace(&inner, inner.size, 0, NULL, below(&b->seed, sizeof rows - inner.size + 1));
	else
		fuzz_change_any(&inner);
	if (compress2(packed, &n, rows, (uLong)inner.size, 1) != Z_OK || !fuzz_replace(b, at + 8, whole - 12, packed, n))
		return;
	put_crc(b, at, n + 12);
	if (fuzz_one_in(b, 4) && n > 2) { /* in two chunks */
		static const uint8_t between[12] = {0, 0, 0, 0, 0, 0, 0, 0, 'I', 'D', 'A', 'T'};
		size_t first = 1 + below(&b->seed, n - 1);

		if (!fuzz_replace(b, at + 8 + first, 0, between, sizeof between))
			return;
		put_crc(b, at, first + 12);
		put_crc(b, at + first + 12, n - first + 12);
	}
}

static void put_in(struct fuzz_bytes *b)
{
	static const char *const names[] = {"PLTE", "tRNS", "eXIf", "gAMA", "iCCP", "tEXt", "IDAT",
					    "IEND", "sBIT", "bKGD", "nsXy", "IHDR", "acTL", "cICP"};
	uint8_t chunk[12 + 768];
	size_t at, n = below(&b->seed, 4) ? 3 * below(&b->seed, 9) : below(&b->seed, 769), i;

	memset(chunk, 0, sizeof chunk);
	memcpy(chunk + 4, names[below(&b->seed, sizeof names / sizeof *names)], 4);
	for (i = 0; i < n; i++)
		chunk[8 + i] = (uint8_t)draw(&b->seed);
	if (chunk_at(b, 1 + below(&b->seed, count(b) + 1), &at) && fuzz_replace(b, at, 0, chunk, n + 12))
		put_crc(b, at, n + 12);
}

static void change(struct fuzz_bytes *b)
{
	static const struct fuzz_field header[] = {{16, 4}, {20, 4}, {24, 1}, {25, 1}, {26, 1}, {27, 1}, {28, 1}};
	static const uint8_t kinds[] = {0, 2, 3, 4, 6}, bits[] = {1, 2, 4, 8, 16};
	size_t at, n = chunk_at(b, below(&b->seed, count(b) + 1), &at);
	uint8_t copy[400];

	switch (below(&b->seed, 8)) {
	case 0:
		fuzz_change_field(b, 0, header, sizeof header / sizeof *header, 1);
		break;
	case 1:
		fuzz_put(b, 24, bits[below(&b->seed, sizeof bits)], 1, 1);
		fuzz_put(b, 25, kinds[below(&b->seed, sizeof kinds)], 1, 1);
		fuzz_put(b, 28, (uint32_t)below(&b->seed, 2), 1, 1);
		break;
	case 2:
		fuzz_put(b, 16 + 4 * below(&b->seed, 2), 1 + (uint32_t)below(&b->seed, 20), 4, 1);
		break;
	case 3:
		put_in(b);
		break;
	case 4: /* left out, or moved to the end */
		n = n < sizeof copy ? n : 0;
		memcpy(copy, b->data + at, n);
		if (n && fuzz_replace(b, at, n, NULL, 0) && fuzz_one_in(b, 2))
			(void)fuzz_replace(b, b->size, 0, copy, n);
		break;
	case 5: /* a byte of its data */
		if (n > 12)
			fuzz_put(b, at + 8 + below(&b->seed, n - 12), fuzz_number(b), 1, 1);
		break;
	default:
		change_rows(b);
		break;
	}
	if (!fuzz_one_in(b, 8))
		mend(b);
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
