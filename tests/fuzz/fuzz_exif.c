/*
 * EXIF: the bytes as they are, and within a JPEG, a PNG, a WebP and a PNG with JPEG's prefix: each says the same, nothing of it is out of range, and
 * none is refused for it.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/watch.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode_inner.h"

#define EXIF_MOST 65000

static const uint8_t jpeg_end[] = {0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0};
static const uint8_t png_begin[] = {0x89, 'P', 'N', 'G', '\r', '\n', 26, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0,
				    0,	  0,   1,   0,	 0,    0,    1,	 8,    0, 0, 0, 0,  0,	 0,   0,   0};
static const uint8_t webp_begin[] = {'R', 'I', 'F',  'F', 0, 0, 0, 0,	 'W',  'E', 'B', 'P', 'V', 'P', '8', 'X', 10, 0,
				     0,	  0,   8,    0,	  0, 0, 0, 0,	 0,    0,   0,	 0,   'V', 'P', '8', 'L', 8,  0,
				     0,	  0,   0x2f, 0,	  0, 0, 0, 0x88, 0x88, 8,   'E', 'X', 'I', 'F', 0,   0,	  0,  0};

static void check(const struct ns_image *x)
{
	size_t i, n = strnlen(x->camera, sizeof x->camera);

	if (x->orientation < 1 || x->orientation > 8)
		fuzz_found("orientation %d", x->orientation);
	/* from 1900 to the end of 9999, whose last hour may be the 24th */
	if (x->time < -2208988800 || x->time > 253402304400)
		fuzz_found("time %lld", (long long)x->time);
	for (i = 0; i < n; i++)
		if (x->camera[i] < 32 || x->camera[i] > 126)
			fuzz_found("a camera's name has byte %02x", (unsigned)(unsigned char)x->camera[i]);
	if (n == sizeof x->camera)
		fuzz_found("a camera's name does not end");
}

static void look(struct fuzz_bytes *b, const struct ns_image *wanted, const char *what)
{
	struct ns_image image;

	if (ns_image_look(b->data, b->size, &image) != NS_OK)
		fuzz_found("%s is refused for its EXIF: %s", what, ns_message());
	check(&image);
	if (image.orientation != wanted->orientation || image.time != wanted->time || strcmp(image.camera, wanted->camera) ||
	    image.position != wanted->position)
		fuzz_found("EXIF within a %s says other things than alone", what);
}

/* begin, EXIF and end as one file */
static void join(struct fuzz_bytes *b, const void *begin, size_t begin_size, const void *data, size_t size, const void *end, size_t end_size)
{
	b->size = 0;
	(void)fuzz_replace(b, 0, 0, begin, begin_size);
	(void)fuzz_replace(b, b->size, 0, data, size);
	(void)fuzz_replace(b, b->size, 0, end, end_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_image alone = {.orientation = 1};
	struct fuzz_bytes b = {.room = EXIF_MOST + 200};

	size = size < EXIF_MOST ? size : EXIF_MOST;
	ns_exif_read(data, size, &alone);
	check(&alone);
	b.data = malloc(b.room);
	if (!b.data)
		return 0;
	fuzz_fill_memory(0x5a);
	if (size > 8 && memcmp(data, "Exif\0", 6)) {
		join(&b, "\xff\xd8\xff\xe1\0\0Exif\0", 12, data, size, jpeg_end, sizeof jpeg_end);
		fuzz_put(&b, 4, (uint32_t)size + 8, 2, 1);
		look(&b, &alone, "JPEG");
	}
	join(&b, png_begin, sizeof png_begin, "\0\0\0\0eXIf", 8, data, size);
	fuzz_put(&b, sizeof png_begin, (uint32_t)size, 4, 1);
	(void)fuzz_replace(&b, b.size, 0, "\0\0\0", 4);
	look(&b, &alone, "PNG");
	join(&b, webp_begin, sizeof webp_begin, data, size, "", size & 1);
	fuzz_put(&b, 4, (uint32_t)b.size - 8, 4, 0);
	fuzz_put(&b, sizeof webp_begin - 4, (uint32_t)size, 4, 0);
	look(&b, &alone, "WebP");
	free(b.data);
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const uint16_t tags[] = {0x10f, 0x110, 0x112, 0x132, 0x8769, 0x8825, 0x9003, 0x100, 0x101, 0xa005};
	static const char *const texts[] = {"2024:02:29 12:34:56",
					    "0000:00:00 00:00:00",
					    "1900:01:01 00:00:00",
					    "9999:12:31 24:59:60",
					    "-999:-1:-1 -1:-1:-1",
					    "    :  :     :  :  ",
					    "\xff\xe9",
					    "\n",
					    "Make",
					    "Exif",
					    "II*",
					    "MM",
					    "+1"};

	if (fuzz_one_in(b, 4))
		fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
	else
		fuzz_change_ifd(b, tags, sizeof tags / sizeof *tags);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
