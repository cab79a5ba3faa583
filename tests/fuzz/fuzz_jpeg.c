/* JPEG: segments put in, left out, moved, and fields of frame, scan, tables and restarts. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <string.h>

/* where segment number i begins, and its whole length with the bytes of a scan; 0: there is none */
static size_t segment_at(const struct fuzz_bytes *b, uint64_t i, size_t *at)
{
	size_t n;

	for (*at = 2; *at + 4 <= b->size && b->data[*at] == 0xff; *at += n, i--) {
		n = 2 + (b->data[*at + 1] == 0xd9 ? 0 : (size_t)fuzz_get(b, *at + 2, 2, 1));
		if (b->data[*at + 1] == 0xda)
			while (*at + n + 1 < b->size && (b->data[*at + n] != 0xff || !b->data[*at + n + 1]))
				n++;
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

	while (n < 64 && segment_at(b, n, &at)) /* each walks from the first */
		n++;
	return n;
}

static void change_frame(struct fuzz_bytes *b, size_t at)
{
	static const uint8_t kinds[] = {0xc0, 0xc1, 0xc2, 0xc9, 0xca, 0xc3, 0xc5}, samplings[] = {0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 0x44, 0x13, 0};
	static const struct fuzz_field fields[] = {{4, 1}, {5, 2}, {7, 2}, {9, 1}, {10, 1}, {12, 1}};

	switch (below(&b->seed, 5)) {
	case 0:
		b->data[at + 1] = kinds[below(&b->seed, sizeof kinds)];
		break;
	case 1:
		fuzz_put(b, at + 11 + 3 * below(&b->seed, 4), samplings[below(&b->seed, sizeof samplings)], 1, 1);
		break;
	case 2:
		fuzz_put(b, at + 5 + 2 * below(&b->seed, 2), 1 + (uint32_t)below(&b->seed, 70), 2, 1);
		break;
	default:
		fuzz_change_field(b, at, fields, sizeof fields / sizeof *fields, 1);
		break;
	}
}

static void put_in(struct fuzz_bytes *b, size_t at)
{
	static const struct {
		const char *bytes;
		size_t n;
	} some[] = {{"\xff\xdd\0\4\0\1", 6},
		    {"\xff\xee\0\16Adobe\0\144\0\0\0\0\0", 16},
		    {"\xff\xee\0\16Adobe\0\144\0\0\0\0\1", 16},
		    {"\xff\xee\0\16Adobe\0\144\0\0\0\0\2", 16},
		    {"\xff\xe0\0\20JFIF\0\1\1\0\0\1\0\1\0\0", 18},
		    {"\xff\xfe\0\2", 4},
		    {"\xff\xdc\0\4\0\10", 6},
		    {"\xff\xcc\0\4\0\1", 6},
		    {"\xff\xd9", 2},
		    {"\xff\xd0", 2},
		    {"\xff\xff\xff", 3},
		    {"\xff\xe2\0\16ICC_PROFILE", 15}};
	size_t which = below(&b->seed, sizeof some / sizeof *some);

	(void)fuzz_replace(b, at, 0, some[which].bytes, some[which].n);
}

static void change(struct fuzz_bytes *b)
{
	size_t at, n = segment_at(b, below(&b->seed, count(b) + 1), &at);
	uint8_t copy[700];

	if (n < 4) {
		fuzz_change_any(b);
		return;
	}
	switch (below(&b->seed, 6)) {
	case 0: /* left out, moved or repeated */
		n = n < sizeof copy ? n : 0;
		memcpy(copy, b->data + at, n);
		if (fuzz_one_in(b, 2))
			(void)fuzz_replace(b, at, n, NULL, 0);
		if (fuzz_one_in(b, 2) && segment_at(b, below(&b->seed, count(b) + 1), &at))
			(void)fuzz_replace(b, at, 0, copy, n);
		break;
	case 1:
		put_in(b, at);
		break;
	case 2: /* its length, with its bytes or without */
		fuzz_put(b, at + 2, fuzz_number(b), 2, 1);
		break;
	default:
		if (b->data[at + 1] >= 0xc0 && b->data[at + 1] <= 0xcf && b->data[at + 1] != 0xc4)
			change_frame(b, at);
		else
			fuzz_put(b, at + 4 + below(&b->seed, n - 3), fuzz_one_in(b, 2) ? fuzz_number(b) : (uint32_t)draw(&b->seed), 1, 1);
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
