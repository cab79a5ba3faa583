/* JPEG XL: bits of the stream's headers, which are as good as all of a small stream; boxes around it. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

#include <string.h>

/* where the stream begins */
static size_t stream_at(const struct fuzz_bytes *b)
{
	size_t at;

	for (at = 0; at + 10 <= b->size; at++)
		if (b->data[at] == 0xff && b->data[at + 1] == 0x0a)
			return at + 2;
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const types[] = {"JXL ", "ftyp", "jxlc", "jxlp", "jbrd", "Exif", "xml ", "brob", "free"};
	size_t at = stream_at(b), n = b->size - at, box = 0, size;

	switch (below(&b->seed, 6)) {
	case 0: /* a field of any width anywhere in the headers */
		n = n < 16 ? n : 16;
		/* fall through */
	case 1:
	case 2:
		if (n)
			b->data[at + below(&b->seed, n)] ^= (uint8_t)(1 << below(&b->seed, 8));
		break;
	case 3: /* of a box */
		while (box + 16 <= b->size && fuzz_one_in(b, 2) && (size = fuzz_get(b, box, 4, 1)) >= 8 && size < b->size - box - 8)
			box += size;
		if (box + 12 > b->size || *b->data)
			fuzz_change_any(b);
		else if (fuzz_one_in(b, 2))
			memcpy(b->data + box + (fuzz_one_in(b, 4) ? 8 : 4), types[below(&b->seed, sizeof types / sizeof *types)], 4);
		else
			fuzz_put(b, box + (fuzz_one_in(b, 2) ? 8 : 0), fuzz_number(b), 4, 1);
		break;
	case 4: /* bytes that are few bits of another */
		if (n > 4)
			fuzz_put(b, at + below(&b->seed, n - 4), (uint32_t)draw(&b->seed), 2, 0);
		break;
	default:
		fuzz_change_any(b);
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
