/* A tar of class folders, in each packing (libarchive looks at the bytes, not at the name): headers' fields, whose sums are made right again. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *classes;

	if (!classes)
		classes = json_pack("[s, s]", "a", "b");
	fuzz_folder();
	/* the classes that it has, or two that are given */
	(void)fuzz_source(fuzz_file("x.tar", data, size), size % 4 ? NULL : classes);
	return 0;
}

/* where header number i begins, by the sizes of those before it */
static size_t header_at(const struct fuzz_bytes *b, uint64_t i)
{
	size_t at = 0;

	for (; i && at + 1024 <= b->size; i--) {
		char size[13] = {0};

		memcpy(size, b->data + at + 124, 12);
		at += 512 + ((size_t)strtoul(size, NULL, 8) + 511) / 512 * 512;
	}
	return at + 512 <= b->size ? at : 0;
}

static void change_name(struct fuzz_bytes *b, size_t at)
{
	static const char *const names[] = {"./",	 "../",	       "a/",	"b/",	     "train/",	   "test/",	  "/",	    "a/1.png",
					    "a/.hidden", "__MACOSX/a", "a.cls", "1.cls",     "x.txt",	   "\xc3\xa9",	  "\xe9/1", "a\nb/1",
					    "//",	 "PaxHeader",  ".",	"train/a/1", "\x1b[31m/x", "\xf0\x9f\x98"};
	const char *name = names[below(&b->seed, sizeof names / sizeof *names)];
	size_t n = strlen(name);

	if (fuzz_one_in(b, 3))
		memset(b->data + at, fuzz_one_in(b, 2) ? 'k' : 0xc3, 100);
	else
		memcpy(b->data + at + (fuzz_one_in(b, 3) ? 100 - n : 0), name, n);
}

static void change_header(struct fuzz_bytes *b, size_t at)
{
	static const char kinds[] = "01234567LKxgSVNMAD\0 ";
	static const char *const numbers[] = {"00000000000", "00000000001", "77777777777", "00000001000",
					      "-0000000001", "           ", "8zzzzzzz",	   "00000000777"};

	switch (below(&b->seed, 6)) {
	case 0:
		b->data[at + 156] = (uint8_t)kinds[below(&b->seed, sizeof kinds - 1)];
		break;
	case 1:
		memcpy(b->data + at + (fuzz_one_in(b, 3) ? 136 : 124), numbers[below(&b->seed, 8)], 8);
		break;
	case 2: /* a number of base 256 */
		b->data[at + 124] = fuzz_one_in(b, 2) ? 0x80 : 0xff;
		fuzz_put(b, at + 132, fuzz_number(b), 4, 1);
		break;
	case 3:
		b->data[at + below(&b->seed, 512)] = (uint8_t)draw(&b->seed);
		break;
	default:
		change_name(b, at);
		break;
	}
	fuzz_put_tar_sum(b, at);
}

static void change(struct fuzz_bytes *b)
{
	int packed = b->size > 262 && memcmp(b->data + 257, "ustar", 5) != 0;
	uint64_t how = below(&b->seed, 8);
	uint8_t blocks[2048];
	size_t at, n;

	if ((packed && fuzz_one_in(b, 4)) || (packed && !fuzz_unpack(b)) || b->size < 512) {
		fuzz_change_any(b); /* of the packed bytes */
		return;
	}
	at = header_at(b, below(&b->seed, 6));
	if (how < 5 && at + 512 <= b->size) {
		change_header(b, at);
	} else if (how == 5) { /* blocks again, elsewhere */
		n = 512 * (1 + below(&b->seed, 4));
		n = n < b->size - at ? n : b->size - at;
		memcpy(blocks, b->data + at, n);
		(void)fuzz_replace(b, header_at(b, below(&b->seed, 6)), 0, blocks, n);
	} else if (how == 6) {
		(void)fuzz_replace(b, at, b->size - at < 512 ? b->size - at : 512, NULL, 0);
	} else {
		b->size -= below(&b->seed, b->size < 1500 ? b->size : 1500);
	}
	if (packed || fuzz_one_in(b, 16))
		(void)fuzz_pack(b, (enum fuzz_packing)below(&b->seed, FUZZ_PACKINGS));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
