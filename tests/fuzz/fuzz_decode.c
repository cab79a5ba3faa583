/*
 * Every format. Each is decoded twice, with memory that holds other bytes the second time: pixels that differ
 * were never written. (ASan does not see that, and MSan would want libjpeg and libpng built with it.)
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t), void (*on_free)(const volatile void *));

static int fill;

/* calloc clears small blocks after this; large ones it knows to be clear and does not */
static void on_malloc(const volatile void *memory, size_t size)
{
	if (size < 100000)
		memset((void *)(uintptr_t)memory, fill, size);
}

static void on_free(const volatile void *memory)
{
	(void)memory;
}

static void decode(const uint8_t *data, size_t size, int channels)
{
	/* of every other file alpha is composed over a colour, and a wide one is refused by its header */
	struct ns_decode_options options = {.c = channels, .background = size % 2 ? 0x204060 : 0, .pixels_max = 1 << 24};
	int h[2], w[2], c[2], i;
	uint8_t *pixels[2] = {NULL, NULL}, small[16 * 16 * 3];
	enum ns_status status[2];

	for (i = 0; i < 2; i++) {
		fill = i ? 0x5a : 0xa5;
		status[i] = ns_decode(data, size, &options, &h[i], &w[i], &c[i], &pixels[i], NULL);
		if (status[i] != NS_OK)
			pixels[i] = NULL;
	}
	if (status[0] != status[1] || (status[0] == NS_OK && (h[0] != h[1] || w[0] != w[1] || c[0] != c[1] ||
							      memcmp(pixels[0], pixels[1], (size_t)h[0] * (size_t)w[0] * (size_t)c[0])))) {
		fprintf(stderr,
			"fuzz: ns_decode(c = %d): the same bytes gave other pixels: it reads memory that "
			"nothing has written\n",
			channels);
		abort();
	}
	if (pixels[0] && (int64_t)h[0] * w[0] < 1 << 16)
		(void)ns_resize(pixels[0], h[0], w[0], c[0], small, 16, 16);
	free(pixels[0]);
	free(pixels[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int hooked;

	if (!hooked++)
		__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	decode(data, size, 0);
	decode(data, size, 1);
	decode(data, size, 3);
	return 0;
}
