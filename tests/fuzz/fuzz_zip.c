/* A zip of class folders: fields of its local headers, stored bytes whose checksums are made right again, sizes that stand behind the bytes. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_folder();
	(void)fuzz_source(fuzz_file("x.zip", data, size), NULL);
	return 0;
}

static size_t header_at(const struct fuzz_bytes *b, uint64_t i)
{
	size_t at = 0, k;

	for (k = 0; k + 30 <= b->size; k++)
		if (!memcmp(b->data + k, "PK\3\4", 4)) {
			at = k;
			if (!i--)
				break;
		}
	return at;
}

/* entries that are stored have the checksums of their bytes */
static void mend(struct fuzz_bytes *b)
{
	size_t at, from, n;

	for (at = 0; at + 30 <= b->size; at++) {
		if (memcmp(b->data + at, "PK\3\4", 4) != 0)
			continue;
		from = at + 30 + fuzz_get(b, at + 26, 2, 0) + fuzz_get(b, at + 28, 2, 0);
		n = fuzz_get(b, at + 18, 4, 0);
		if (!fuzz_get(b, at + 8, 2, 0) && from <= b->size && n <= b->size - from)
			fuzz_put(b, at + 14, (uint32_t)crc32(0, b->data + from, (uInt)n), 4, 0);
	}
}

static void put_in(struct fuzz_bytes *b)
{
	static const char *const names[] = {"a/",    "a/1.png", "b/2.png",   "\xe9/3",	 "../x",	  "/x",
					    "a\n/4", "x.cls",	"train/a/1", "test/b/2", "a/\xf0\x9f\x98"};
	struct fuzz_bytes entry = {(uint8_t[600]){0}, 0, 600, 0};
	uint8_t data[300];
	size_t n = below(&b->seed, sizeof data);

	memset(data, (int)below(&b->seed, 256), n);
	if (fuzz_add_zip(&entry, names[below(&b->seed, sizeof names / sizeof *names)], data, n))
		(void)fuzz_replace(b, header_at(b, below(&b->seed, 4)), 0, entry.data, entry.size);
}

static void change(struct fuzz_bytes *b)
{
	/* version, flags, method, time, date, checksum, sizes, lengths of name and extra */
	static const struct fuzz_field fields[] = {{4, 2}, {6, 2}, {8, 2}, {10, 2}, {12, 2}, {14, 4}, {18, 4}, {22, 4}, {26, 2}, {28, 2}};
	static const uint8_t extras[][9] = {{1, 0, 5, 0, 1, 2, 3, 4, 5}, {0x55, 0x54, 5, 0, 1, 0, 0, 0, 0x80}, {0x75, 0x70, 5, 0, 1, 0, 0, 0, 0}};
	static const uint8_t methods[] = {0, 8, 9, 12, 14, 95, 93, 98, 99};
	size_t at = header_at(b, below(&b->seed, 4)), n;

	switch (below(&b->seed, 8)) {
	case 0: /* the sizes stand behind the bytes */
		fuzz_put(b, at + 6, fuzz_get(b, at + 6, 2, 0) ^ 8, 2, 0);
		break;
	case 1:
		fuzz_put(b, at + 8, methods[below(&b->seed, sizeof methods)], 2, 0);
		break;
	case 2:
		put_in(b);
		break;
	case 3: /* more about the entry, such as sizes of 64 bits */
		n = fuzz_get(b, at + 26, 2, 0);
		if (fuzz_replace(b, at + 30 + n, 0, extras[below(&b->seed, 3)], 9))
			fuzz_put(b, at + 28, fuzz_get(b, at + 28, 2, 0) + 9, 2, 0);
		break;
	case 4:
		fuzz_put(b, at + 30 + below(&b->seed, 40), fuzz_number(b), 1, 0);
		break;
	case 5: /* encrypted, or an odd flag */
		fuzz_put(b, at + 6, 1u << below(&b->seed, 16), 2, 0);
		break;
	default:
		fuzz_change_field(b, at, fields, sizeof fields / sizeof *fields, 0);
		break;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, mend);
}
