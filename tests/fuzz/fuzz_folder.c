/* A folder of images by its names alone: classes, splits, hidden files, litter, links in a circle; and what the same names mean in an archive. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_tree(data, size);
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const texts[] = {
		"/",	     "\n",	  "a/",	     "b/",    "train/",	 "test/", "Val/",    ".hidden/", "1.png", "2.jpg",
		"__MACOSX/", "Thumbs.db", "LICENSE", "x.txt", "./",	 "../",	  "//",	     "@",	 "up@",	  "\xc3\xa9/",
		"\xe9",	     "c/d/e/",	  "\x1b[1m", "\r",    "train\n", "a\n",	  "photos/", " ",	 ".png",  "eval/a/1\ntraining/b/2\n",
		"trainx/"};

	fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
