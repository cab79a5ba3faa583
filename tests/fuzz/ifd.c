/* tests/fuzz/ifd.c - entries of a TIFF folder (TIFF 6.0, section 2), which EXIF is, too. */
#include "tests/fuzz/mutate.h"

#include <string.h>

void fuzz_change_ifd(struct fuzz_bytes *b, const uint16_t *tags, size_t count)
{
	int big = b->size && *b->data == 'M';
	size_t at = fuzz_get(b, 4, 4, big), n = fuzz_get(b, at, 2, big), entry, other;
	uint8_t copy[12];

	if (at < 8 || at + 14 > b->size || !n || n > (b->size - at) / 12) {
		fuzz_change_any(b);
		return;
	}
	entry = at + 2 + 12 * below(&b->seed, n);
	other = at + 2 + 12 * below(&b->seed, n);
	switch (below(&b->seed, 10)) {
	case 0:
		fuzz_put(b, entry, tags[below(&b->seed, count)], 2, big);
		break;
	case 1:
		fuzz_put(b, entry + 2, (uint32_t)below(&b->seed, 19), 2, big);
		break;
	case 2:
		fuzz_put(b, entry + 4, fuzz_number(b), 4, big);
		break;
	case 3: /* one entry over another, whose tag it may get */
		if (other + 12 <= b->size && entry + 12 <= b->size) {
			memcpy(copy, b->data + entry, 12);
			memcpy(b->data + other, copy, 12);
			if (fuzz_one_in(b, 2))
				fuzz_put(b, other, tags[below(&b->seed, count)], 2, big);
		}
		break;
	case 4: /* a number of one value, of a tag that may be new */
		fuzz_put(b, entry, tags[below(&b->seed, count)], 2, big);
		fuzz_put(b, entry + 2, 3 + (uint32_t)below(&b->seed, 2), 2, big);
		fuzz_put(b, entry + 4, 1, 4, big);
		fuzz_put(b, entry + 8, fuzz_number(b), fuzz_get(b, entry + 2, 2, big) == 3 ? 2 : 4, big);
		break;
	case 5:
		fuzz_put(b, fuzz_one_in(b, 2) ? 4 : at, fuzz_number(b), fuzz_one_in(b, 2) ? 2 : 4, big);
		break;
	case 6: /* what a value points to */
		fuzz_put(b, fuzz_get(b, entry + 8, 4, big) + 2 * below(&b->seed, 4), fuzz_number(b), 1 << below(&b->seed, 3), big);
		break;
	case 7:
		fuzz_put(b, entry + 8, (uint32_t)below(&b->seed, b->size + 1), 4, big);
		break;
	default:
		fuzz_put(b, entry + 8, fuzz_number(b), fuzz_get(b, entry + 2, 2, big) == 3 ? 2 : 4, big);
		break;
	}
}
