#include "tests/fuzz/image.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "tests/fuzz/watch.h"

#define PIXELS_MOST (1 << 20)

/*
 * What a look at a header may ask for: libtiff takes up to 1,000,000 strips, of which it makes two tables; the window of a box of JPEG XL that
 * Brotli has packed is of 16 MiB at most; dav1d's and libjxl's decoders are large before they have read anything.
 */
static size_t look_bound(const uint8_t *data, size_t size)
{
	size_t usual = 1 << 18;

	if (size && (*data == 'I' || *data == 'M'))
		usual = 20 << 20;
	else if (size > 8 && !memcmp(data + 4, "JXL ", 4))
		usual = 20 << 20;
	else if (size > 8 && (!memcmp(data + 4, "ftyp", 4) || !memcmp(data, "\xff\x0a", 2)))
		usual = 1 << 20;
	return 8 * size + usual;
}

struct decoded {
	enum ns_status status;
	int h, w, c;
	uint8_t *pixels;
	struct ns_image image;
};

static struct decoded decode(const uint8_t *data, size_t size, const struct ns_decode_options *options, int fill)
{
	struct decoded d = {.status = NS_OK};

	fuzz_fill_memory(fill);
	d.status = ns_decode(data, size, options, &d.h, &d.w, &d.c, &d.pixels, &d.image);
	if (d.status != NS_OK) {
		if (d.status != NS_BAD_DATA)
			fuzz_found("status %d of an image: %s", (int)d.status, ns_message());
		if (d.pixels)
			fuzz_found("a refused image has pixels");
		fuzz_check_message(1);
	}
	return d;
}

/* What the header said is what came. */
static void check_agreement(const struct decoded *d, const struct ns_image *said, const struct ns_decode_options *options)
{
	int turned = said->orientation > 4 && !options->as_stored;

	if (d->h < 1 || d->w < 1 || d->h > NS_SIDE_MAX || d->w > NS_SIDE_MAX || (int64_t)d->h * d->w > PIXELS_MOST || (d->c != 1 && d->c != 3))
		fuzz_found("%d x %d x %d was taken", d->h, d->w, d->c);
	if (d->h != (turned ? said->w : said->h) || d->w != (turned ? said->h : said->w) || d->c != (options->c ? options->c : said->c))
		fuzz_found("%d x %d x %d, but the header says %d x %d x %d", d->h, d->w, d->c, said->h, said->w, said->c);
	if (strcmp(d->image.kind, said->kind) || d->image.h != said->h || d->image.w != said->w || d->image.c != said->c ||
	    d->image.bits != said->bits || d->image.orientation != said->orientation || d->image.time != said->time ||
	    strcmp(d->image.camera, said->camera))
		fuzz_found("ns_decode says other things than ns_image_look");
}

/* One pixel less is allowed than there is: refused by the header, before memory is asked for. */
static void check_limit(const uint8_t *data, size_t size, struct ns_decode_options options, int64_t pixels)
{
	struct decoded d;

	if (pixels < 2)
		return;
	options.pixels_max = pixels - 1;
	fuzz_memory_begin(SIZE_MAX);
	d = decode(data, size, &options, 0x33);
	if (d.status == NS_OK || !strstr(ns_message(), "ingest.max_pixels"))
		fuzz_found("%lld pixels, one more than is allowed: %s", (long long)pixels, d.status == NS_OK ? "were taken" : ns_message());
	if (fuzz_memory_peak() > look_bound(data, size))
		fuzz_found("%zu bytes of memory for a header", fuzz_memory_peak());
}

static void decode_twice(const uint8_t *data, size_t size, const struct ns_decode_options *options, const struct ns_image *said)
{
	size_t bound = 32 * (size_t)said->h * (size_t)said->w + 16 * size + (20 << 20);
	struct decoded d[2];
	uint8_t small[2][16 * 16 * 3];
	int i;

	for (i = 0; i < 2; i++) {
		fuzz_memory_begin(SIZE_MAX);
		d[i] = decode(data, size, options, i ? 0x5a : 0xa5);
		if (fuzz_memory_peak() > bound)
			fuzz_found("%zu bytes of memory for %d x %d pixels of a file of %zu bytes", fuzz_memory_peak(), said->w, said->h, size);
		if (d[i].status != NS_OK)
			continue;
		check_agreement(&d[i], said, options);
		if (ns_resize(d[i].pixels, d[i].h, d[i].w, d[i].c, small[i], 16, 16) != NS_OK)
			fuzz_found("ns_resize: %s", ns_message());
	}
	/* blocks that no slice of a damaged HEVC picture codes are what libde265's memory holds; it takes them for decoded, where its filter is on */
	if (d[0].status != d[1].status || (d[0].status == NS_OK && strcmp(said->kind, "heic") &&
					   (memcmp(d[0].pixels, d[1].pixels, (size_t)d[0].h * (size_t)d[0].w * (size_t)d[0].c) ||
					    memcmp(small[0], small[1], (size_t)(16 * 16 * d[0].c)))))
		fuzz_found("ns_decode(c = %d): the same bytes gave other pixels: it reads memory that nothing has written", options->c);
	if (d[0].status == NS_OK)
		check_limit(data, size, *options, (int64_t)d[0].h * d[0].w);
	free(d[0].pixels);
	free(d[1].pixels);
}

/* Erased, a place cannot be read, whatever shape it had. */
static void check_place(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct ns_image said;

	if (!copy)
		return;
	memcpy(copy, data, size);
	(void)ns_place_erase(copy, size);
	if (ns_image_look(copy, size, &said) == NS_OK && said.placed)
		fuzz_found("where it was taken is not erased");
	free(copy);
}

void fuzz_image(const uint8_t *data, size_t size)
{
	static const int channels[] = {0, 1, 3};
	struct ns_decode_options options = {.pixels_max = PIXELS_MOST};
	struct ns_image said[2];
	uint64_t sum = size;
	enum ns_status status[2];
	int descriptor = fuzz_free_descriptor();
	size_t i;

	for (i = 0; i < size; i++)
		sum = sum * 31 + data[i];
	for (i = 0; i < 2; i++) {
		fuzz_fill_memory(i ? 0x5a : 0xa5);
		memset(&said[i], 0, sizeof said[i]);
		fuzz_memory_begin(SIZE_MAX);
		status[i] = ns_image_look(data, size, &said[i]);
		if (fuzz_memory_peak() > look_bound(data, size))
			fuzz_found("%zu bytes of memory to look at a file of %zu bytes", fuzz_memory_peak(), size);
		if (status[i] != NS_OK)
			fuzz_check_message(1);
	}
	if (status[0] != status[1] || said[0].h != said[1].h || said[0].w != said[1].w || said[0].c != said[1].c || said[0].time != said[1].time ||
	    said[0].orientation != said[1].orientation || said[0].alpha != said[1].alpha)
		fuzz_found("ns_image_look reads memory that nothing has written");
	check_place(data, size);
	/* by what is in the file: alpha composed over a colour, pixels as they lie */
	options.background = sum % 3 == 0 ? 0x204060 : 0;
	options.as_stored = sum % 5 == 0;
	if (status[0] != NS_OK) {
		if (decode(data, size, &options, 0xa5).status == NS_OK)
			fuzz_found("ns_decode takes what ns_image_look refuses");
	} else if ((int64_t)said->h * said->w > PIXELS_MOST) {
		check_limit(data, size, options, PIXELS_MOST + 1);
	} else {
		for (i = 0; i < sizeof channels / sizeof *channels; i++) {
			options.c = channels[i];
			decode_twice(data, size, &options, said);
		}
	}
	if (fuzz_free_descriptor() != descriptor)
		fuzz_found("a file was left open");
}
