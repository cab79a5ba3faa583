/* HEIC and AVIF: a box of any depth, its type, its length or a number in it; bits of what is coded. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <string.h>

#define BOXES_MOST 128

struct box {
	size_t at, size;
};

/* how many bytes of a box stand before the boxes in it; 0: there are none in it */
static size_t head_of(const uint8_t *type)
{
	return !memcmp(type, "meta", 4) || !memcmp(type, "iref", 4)   ? 12
	       : !memcmp(type, "iinf", 4)			      ? 14
	       : !memcmp(type, "iprp", 4) || !memcmp(type, "ipco", 4) ? 8
								      : 0;
}

static size_t list_boxes(const struct fuzz_bytes *b, size_t from, size_t to, struct box *boxes, size_t count)
{
	while (count < BOXES_MOST && to - from >= 8) {
		size_t n = fuzz_get(b, from, 4, 1), head = head_of(b->data + from + 4);

		if (n < 8 || n > to - from)
			break;
		boxes[count++] = (struct box){from, n};
		if (head && head <= n)
			count = list_boxes(b, from + head, from + n, boxes, count);
		from += n;
	}
	return count;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const types[] = {"meta", "pitm", "iloc", "iinf", "infe", "iref", "dimg", "auxl", "cdsc", "prem", "iprp",
					    "ipco", "ipma", "ispe", "hvcC", "av1C", "colr", "clap", "irot", "imir", "auxC", "idat",
					    "mdat", "hvc1", "av01", "grid", "iovl", "iden", "Exif", "mif1", "free"};
	struct box boxes[BOXES_MOST];
	size_t count = list_boxes(b, 0, b->size, boxes, 0), at, n;
	uint8_t copy[256];

	if (!count) {
		fuzz_change_any(b);
		return;
	}
	n = below(&b->seed, count);
	at = boxes[n].at;
	n = boxes[n].size;
	switch (below(&b->seed, 8)) {
	case 0: /* its type, or the one that an entry of iinf says */
		memcpy(b->data + at + (!memcmp(b->data + at + 4, "infe", 4) && n >= 20 ? 16 : 4),
		       types[below(&b->seed, sizeof types / sizeof *types)], 4);
		break;
	case 1: /* its length */
		fuzz_put(b, at, fuzz_number(b), 4, 1);
		break;
	case 2: /* in the place of another */
		memcpy(copy, b->data + at, n < sizeof copy ? n : sizeof copy);
		at = boxes[below(&b->seed, count)].at;
		if (n < sizeof copy && n <= b->size - at)
			memcpy(b->data + at, copy, n);
		break;
	case 3: /* a bit */
		if (n > 8)
			b->data[at + 8 + below(&b->seed, n - 8)] ^= (uint8_t)(1 << below(&b->seed, 8));
		break;
	default: /* a number */
		if (n > 8)
			fuzz_put(b, at + 8 + below(&b->seed, n - 8), fuzz_number(b), 1 << below(&b->seed, 3), 1);
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
