/* GIF: canvas, frame, extensions, the code size and lengths of blocks. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <string.h>

/* where the block after the one at `at` begins; 0: at the end, or damaged */
static size_t next_block(const struct fuzz_bytes *b, size_t at)
{
	size_t to = at;

	if (!at) {
		int flags = (int)fuzz_get(b, 10, 1, 0);

		to = 13 + (flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0);
		return to < b->size ? to : 0;
	}
	if (b->data[at] == 0x21)
		to += 2;
	else if (b->data[at] == 0x2c && at + 10 < b->size)
		to += 11 + (b->data[at + 9] & 0x80 ? (size_t)3 << ((b->data[at + 9] & 7) + 1) : 0);
	else
		return 0;
	while (to < b->size && b->data[to])
		to += (size_t)b->data[to] + 1;
	return to + 1 < b->size ? to + 1 : 0;
}

static void change_block(struct fuzz_bytes *b, size_t at, size_t end)
{
	static const struct fuzz_field frame[] = {{1, 2}, {3, 2}, {5, 2}, {7, 2}, {9, 1}, {10, 1}}, control[] = {{1, 1}, {2, 1}, {3, 1}, {6, 1}};
	uint8_t copy[300];
	size_t n = end - at < sizeof copy ? end - at : sizeof copy;

	switch (below(&b->seed, 6)) {
	case 0: /* twice */
		memcpy(copy, b->data + at, n);
		(void)fuzz_replace(b, at, 0, copy, n);
		break;
	case 1:
		(void)fuzz_replace(b, at, end - at, NULL, 0);
		break;
	case 2: /* the code size, or a byte of the codes */
		if (b->data[at] == 0x2c && at + 10 < b->size)
			fuzz_put(b, at + 10 + (size_t)(b->data[at + 9] & 0x80 ? 3 << ((b->data[at + 9] & 7) + 1) : 0), (uint32_t)below(&b->seed, 14),
				 1, 0);
		break;
	case 3:
		if (b->data[at] == 0x2c)
			b->data[at + 9 < b->size ? at + 9 : at] ^= 0x40; /* interlaced */
		break;
	case 4:
		fuzz_put(b, at + below(&b->seed, end - at), (uint32_t)draw(&b->seed), 1, 0);
		break;
	default:
		if (b->data[at] == 0x2c)
			fuzz_change_field(b, at, frame, sizeof frame / sizeof *frame, 0);
		else
			fuzz_change_field(b, at, control, sizeof control / sizeof *control, 0);
		break;
	}
}

static void change(struct fuzz_bytes *b)
{
	static const struct fuzz_field canvas[] = {{6, 2}, {8, 2}, {10, 1}, {11, 1}, {12, 1}};
	static const uint8_t clear[] = {0x21, 0xf9, 4, 1, 0, 0, 0, 0}, empty[] = {0x21, 0xfe, 0}, data[] = {0x21, 0xff, 3, 'N', 'S', '2', 0};
	size_t at = next_block(b, 0), end;

	if (!at || fuzz_one_in(b, 4)) {
		fuzz_change_field(b, 0, canvas, sizeof canvas / sizeof *canvas, 0);
		return;
	}
	if (fuzz_one_in(b, 6)) {
		const uint8_t *some[] = {clear, empty, data};
		static const size_t bytes[] = {sizeof clear, sizeof empty, sizeof data};
		size_t which = below(&b->seed, 3);

		(void)fuzz_replace(b, at, 0, some[which], bytes[which]);
		return;
	}
	while (fuzz_one_in(b, 2) && next_block(b, at))
		at = next_block(b, at);
	end = next_block(b, at);
	change_block(b, at, end ? end : b->size);
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
