#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/watch.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t), void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *);

static int filler;
static size_t used, before, most, counted = SIZE_MAX;

/* calloc clears small blocks after this; large ones it knows to be clear and does not */
static void on_malloc(const volatile void *memory, size_t size)
{
	if (size < 100000)
		memset((void *)(uintptr_t)memory, filler, size);
	used += size <= counted ? size : 0;
	most = used > most ? used : most;
}

static void on_free(const volatile void *memory)
{
	size_t size = memory ? __sanitizer_get_allocated_size(memory) : 0;

	if (size <= counted)
		used -= size < used ? size : used; /* what was allocated before the hooks were there was not counted */
}

static void hook(void)
{
	static int hooked;

	if (!hooked++)
		__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

void fuzz_fill_memory(int fill)
{
	hook();
	filler = fill;
}

void fuzz_memory_begin(size_t largest)
{
	hook();
	counted = largest;
	before = most = used;
}

size_t fuzz_memory_peak(void)
{
	return most - before;
}

_Noreturn void fuzz_found(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "fuzz: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

void fuzz_check_message(int ascii)
{
	const char *text = ns_message();
	json_t *json = json_string(text); /* refuses what is not UTF-8 */
	size_t i;

	if (!*text)
		fuzz_found("refused without a message");
	if (!json)
		fuzz_found("a message is not UTF-8: %s", text);
	json_decref(json);
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < 32 || text[i] == 127 || (ascii && (unsigned char)text[i] > 127))
			fuzz_found("byte %zu of a message, %02x, is one of the input: %s", i, (unsigned)(unsigned char)text[i], text);
}

int fuzz_free_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}
