/* A list of files with classes, of every kind. Paths that lead elsewhere are read, as a list may: the fuzzer is not run by
 * root with secrets. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/sources.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static json_t *classes;
	static const char *const names[] = {"x.txt", "x.csv", "x.tsv", "x.jsonl"};
	int k;

	if (!classes)
		classes = json_pack("[s, s, i]", "a", "b", 7);
	fuzz_folder();
	fuzz_file("a.png", "\x89PNG", 4);
	fuzz_file("b c.png", "\x89PNG", 4);
	for (k = 0; k < 4; k++) /* as a list of every kind, with classes or without */
		(void)fuzz_source(fuzz_file(names[k], data, size), (size + (size_t)k) % 2 ? classes : NULL);
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const texts[] = {"\"",
					    "\"\"",
					    ",",
					    "\t",
					    " ",
					    "\n",
					    "\r",
					    "\r\n",
					    "path,label\n",
					    "path\tlabel\n",
					    "label,file\n",
					    "a.png",
					    "b c.png",
					    "b c.png a",
					    "\"b c.png\",a",
					    "\xef\xbb\xbf",
					    "a.png,a\n",
					    "a.png\tb\n",
					    "{\"path\": \"a.png\", \"label\": 1}\n",
					    "{\"file\": \"a.png\"}\n",
					    "{",
					    "}",
					    "[[[[",
					    "\\u0000",
					    "\\n",
					    "null",
					    "7",
					    "-1",
					    "99999999999",
					    "../",
					    "/dev/null",
					    "\xe9",
					    "\xf0\x9f\x98",
					    "\x1b[1m",
					    "label",
					    "PATH",
					    "'",
					    "#",
					    "a.png,\"x\ny\"\n"};

	if (fuzz_one_in(b, 64)) {
		char line[3000];

		memset(line, 'x', sizeof line);
		(void)fuzz_replace(b, below(&b->seed, b->size + 1), 0, line, sizeof line);
		return;
	}
	fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
