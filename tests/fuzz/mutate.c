#include "tests/fuzz/mutate.h"

#include <string.h>

int fuzz_one_in(struct fuzz_bytes *b, uint64_t n)
{
	return below(&b->seed, n) == 0;
}

uint32_t fuzz_number(struct fuzz_bytes *b)
{
	static const uint32_t edges[] = {0,	 1,	  2,	      3,	  4,	      7,	  8,	      9,	 15,
					 16,	 17,	  31,	      32,	  33,	      64,	  127,	      128,	 255,
					 256,	 257,	  1000,	      1024,	  4095,	      8192,	  16383,      16384,	 16385,
					 32767,	 32768,	  65535,      65536,	  1 << 20,    1 << 24,	  0x7fff,     0x8000,	 0xfffe,
					 0xffff, 1 << 30, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffff0, 0xfffffffe, 0xffffffff};

	switch (below(&b->seed, 4)) {
	case 0:
		return (uint32_t)below(&b->seed, 20);
	case 1:
		return (uint32_t)draw(&b->seed) >> below(&b->seed, 32);
	default:
		return edges[below(&b->seed, sizeof edges / sizeof *edges)];
	}
}

uint32_t fuzz_get(const struct fuzz_bytes *b, size_t at, int bytes, int big)
{
	uint32_t x = 0;
	int i;

	for (i = 0; i < bytes; i++)
		x |= at + (size_t)i < b->size ? (uint32_t)b->data[at + (size_t)i] << 8 * (big ? bytes - 1 - i : i) : 0;
	return x;
}

void fuzz_put(struct fuzz_bytes *b, size_t at, uint32_t x, int bytes, int big)
{
	int i;

	for (i = 0; i < bytes; i++)
		if (at + (size_t)i < b->size)
			b->data[at + (size_t)i] = (uint8_t)(x >> 8 * (big ? bytes - 1 - i : i));
}

int fuzz_replace(struct fuzz_bytes *b, size_t at, size_t drop, const void *data, size_t n)
{
	if (at > b->size || drop > b->size - at || b->size - drop + n > b->room)
		return 0;
	memmove(b->data + at + n, b->data + at + drop, b->size - at - drop);
	if (data && n)
		memcpy(b->data + at, data, n);
	else
		memset(b->data + at, 0, n);
	b->size += n - drop;
	return 1;
}

void fuzz_change_any(struct fuzz_bytes *b)
{
	size_t at = b->size ? below(&b->seed, b->size) : 0, n = 1 + below(&b->seed, b->size - at < 64 ? b->size - at + 1 : 64);
	uint8_t some[64];
	int bytes = 1 << below(&b->seed, 3);

	n = n > b->size - at ? b->size - at : n;
	if (!b->size) {
		(void)fuzz_replace(b, 0, 0, NULL, b->room ? 1 : 0);
		return;
	}
	switch (below(&b->seed, 8)) {
	case 0:
		b->data[at] ^= (uint8_t)(1 << below(&b->seed, 8));
		break;
	case 1:
		b->data[at] = (uint8_t)draw(&b->seed);
		break;
	case 2:
		fuzz_put(b, at, fuzz_number(b), bytes, fuzz_one_in(b, 2));
		break;
	case 3:
		fuzz_put(b, at, fuzz_get(b, at, bytes, 0) + (uint32_t)below(&b->seed, 9) - 4, bytes, 0);
		break;
	case 4: /* cut */
		b->size = fuzz_one_in(b, 2) ? at : b->size - (n < b->size ? n : 0);
		break;
	case 5:
		(void)fuzz_replace(b, at, n, NULL, 0);
		break;
	case 6: /* repeat */
		memcpy(some, b->data + at, n);
		(void)fuzz_replace(b, below(&b->seed, b->size), 0, some, n);
		break;
	default: /* splice: these bytes over others */
		memcpy(some, b->data + at, n);
		at = below(&b->seed, b->size);
		memcpy(b->data + at, some, n < b->size - at ? n : b->size - at);
		break;
	}
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t most, unsigned int seed, void (*change)(struct fuzz_bytes *b),
		   void (*mend)(struct fuzz_bytes *b))
{
	struct fuzz_bytes b = {data, size, most, seed};
	uint64_t i, n = 1 + below(&b.seed, 3);

	for (i = 0; i < n; i++) {
		if (fuzz_one_in(&b, 4))
			b.size = LLVMFuzzerMutate(b.data, b.size, b.room);
		else if (b.size)
			change(&b);
	}
	if (mend && !fuzz_one_in(&b, 8))
		mend(&b);
	return b.size;
}

/* where the line after the one at `at` begins */
static size_t next_line(const struct fuzz_bytes *b, size_t at)
{
	const uint8_t *end = at < b->size ? memchr(b->data + at, '\n', b->size - at) : NULL;

	return end ? (size_t)(end - b->data) + 1 : b->size;
}

void fuzz_change_text(struct fuzz_bytes *b, const char *const *texts, size_t count)
{
	const char *text = texts[below(&b->seed, count)];
	size_t at = below(&b->seed, b->size + 1), end, n = strlen(text);
	uint8_t line[512];

	if (!fuzz_one_in(b, 4)) {
		(void)fuzz_replace(b, at, fuzz_one_in(b, 2) && n <= b->size - at ? n : 0, text, n);
		return;
	}
	at = next_line(b, at);
	end = next_line(b, at);
	n = end - at < sizeof line ? end - at : sizeof line;
	memcpy(line, b->data + at, n);
	if (fuzz_one_in(b, 2))
		(void)fuzz_replace(b, at, n, NULL, 0);
	else
		(void)fuzz_replace(b, next_line(b, below(&b->seed, b->size + 1)), 0, line, n);
}

void fuzz_change_field(struct fuzz_bytes *b, size_t from, const struct fuzz_field *fields, size_t count, int big)
{
	const struct fuzz_field *f = &fields[below(&b->seed, count)];

	fuzz_put(b, from + f->at, fuzz_number(b), f->bytes, big);
}
