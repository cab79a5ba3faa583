/* A webdataset: what .cls files say of the images that are called alike, in a folder, a tar and a zip. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_tree(data, size);
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const texts[] = {"1.cls\t0",
					    "1.cls\ta",
					    "2.cls\tb",
					    "2.seg.png\n",
					    "1.png\n",
					    "2.png\n",
					    ".cls",
					    "\t",
					    "\n",
					    "0",
					    "1",
					    "7",
					    "-1",
					    "a",
					    "b",
					    "c d",
					    "\\n",
					    "\\0",
					    "\\r",
					    " ",
					    "\xe9",
					    "\xc3\xa9",
					    "./",
					    "a/",
					    "99999999999999999999",
					    "+1",
					    "0x1",
					    "1.tar.cls\tb\n",
					    "..cls\ta\n",
					    ".cls\ta\n",
					    "\x1b[1m"};
	char line[320];

	if (fuzz_one_in(b, 32)) { /* longer than a class may be */
		memset(line, 'x', sizeof line);
		(void)fuzz_replace(b, below(&b->seed, b->size + 1), 0, line, 100 + below(&b->seed, sizeof line - 100));
		return;
	}
	fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
