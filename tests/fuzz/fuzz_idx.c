/* An IDX pair, packed or not: images, then labels, in one input. Data goes through TMPDIR, which fuzz.sh
 * makes small. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part part[2];
	int parts = fuzz_split(data, size, part, 2);
	const char *path;

	fuzz_folder();
	path = fuzz_file("images-idx3-ubyte", part[0].data, part[0].size);
	if (parts > 1)
		fuzz_file("labels-idx1-ubyte", part[1].data, part[1].size);
	(void)fuzz_source(path, NULL);
	return 0;
}

/* One of the two files, unpacked, changed, and packed again. */
static void change(struct fuzz_bytes *b)
{
	static const struct fuzz_field fields[] = {{0, 2}, {2, 1}, {3, 1}, {4, 4}, {8, 4}, {12, 4}};
	struct fuzz_part part[2];
	uint8_t bytes[16384];
	struct fuzz_bytes one = {bytes, 0, sizeof bytes, draw(&b->seed)};
	int parts = fuzz_split(b->data, b->size, part, 2), which = (int)below(&b->seed, (uint64_t)parts), packed;
	size_t at = (size_t)(part[which].data - b->data), n = part[which].size;

	if (n > sizeof bytes || !n) {
		fuzz_change_any(b);
		return;
	}
	memcpy(bytes, part[which].data, n);
	one.size = n;
	packed = *bytes == 0x1f && !fuzz_one_in(b, 4) && fuzz_unpack(&one);
	if (fuzz_one_in(b, 3))
		fuzz_put(&one, 4 + 4 * below(&one.seed, 3), (uint32_t)below(&one.seed, 9), 4, 1);
	else if (fuzz_one_in(b, 2))
		fuzz_change_field(&one, 0, fields, sizeof fields / sizeof *fields, 1);
	else
		fuzz_change_any(&one);
	if (packed || fuzz_one_in(b, 16))
		(void)fuzz_pack(&one, fuzz_one_in(b, 4) ? FUZZ_ZSTD : FUZZ_GZIP);
	(void)fuzz_replace(b, at, n, one.data, one.size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
