/* PBM, PGM and PPM: numbers, comments and white space of the header, of pixels as text and as bytes. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/mutate.h"

static void change(struct fuzz_bytes *b)
{
	static const char *const texts[] = {"P1\n", "P2\n", "P3\n", "P4\n",   "P5\n",  "P6\n",	"#",	 "# x\n", "\n",	       "\r",
					    " ",    "\t",   "0",    "1",      "255",   "256",	"65535", "65536", "999999999", "1000",
					    "-1",   "7",    "2 2 ", "16384 ", "16385", "1024 ", "\v\f",	 "P7\n",  "4294967297"};

	if (fuzz_one_in(b, 8) && b->size > 1)
		b->data[1] = (uint8_t)('1' + below(&b->seed, 6));
	else
		fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
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
