/* datasets/decode/place.c - a file without the place where it was taken. */
#include <string.h>
#include <zlib.h>

#include "datasets/decode/decode_inner.h"

static uint32_t big32(const uint8_t *d)
{
	return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
}

/* The first of a text in the bytes; NULL: it is not there. */
static uint8_t *find(uint8_t *data, size_t bytes, const char *text)
{
	size_t n = strlen(text);
	uint8_t *at = data, *end = data + bytes;

	for (; (size_t)(end - at) >= n; at++) {
		at = memchr(at, *text, (size_t)(end - at) - n + 1);
		if (!at)
			return NULL;
		if (!memcmp(at, text, n))
			return at;
	}
	return NULL;
}

/* XMP: exif:GPSLatitude="48,8.5N", or the same as an element. */
static int erase_xmp(uint8_t *data, size_t bytes)
{
	uint8_t *at = data, *end = data + bytes;
	int erased = 0;

	while ((at = find(at, (size_t)(end - at), "exif:GPS"))) {
		while (at < end && *at != '=' && *at != '>' && *at != '<')
			at++;
		if (at < end && *at == '=')
			at++;
		if (at < end && (*at == '"' || *at == '\'' || *at == '>'))
			for (at++, erased = 1; at < end && *at != '"' && *at != '\'' && *at != '<'; at++)
				*at = ' ';
	}
	return erased;
}

/* The chunk's checksum covers its name and its bytes. */
static int erase_png(uint8_t *data, size_t bytes)
{
	size_t at = 8, n;
	int erased = 0;

	for (; at + 12 <= bytes; at += n + 12) {
		uLong sum;
		int i;

		n = big32(data + at);
		if (n > bytes - at - 12)
			break;
		if (memcmp(data + at + 4, "eXIf", 4) || !ns_exif_erase_place(data + at + 8, n))
			continue;
		sum = crc32(0, data + at + 4, (uInt)n + 4);
		for (i = 0; i < 4; i++)
			data[at + 8 + n + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
		erased = 1;
	}
	return erased;
}

/* Segments before the pixels, and those of further images behind them, as phones append. */
static int erase_jpeg(uint8_t *data, size_t bytes)
{
	uint8_t *at = data;
	size_t n, left;
	int erased = 0;

	while ((at = find(at, bytes - (size_t)(at - data), "Exif"))) {
		left = bytes - (size_t)(at - data);
		/* of a segment its length stands before it; a text that looks like one has none that could reach the pixels */
		n = at - data >= 4 && at[-4] == 0xff && at[-3] == 0xe1 ? (size_t)at[-2] << 8 | at[-1] : 0;
		n = n > 2 ? n - 2 : 0;
		erased |= n > 14 && ns_exif_erase_place(at, n < left ? n : left);
		at += 4;
	}
	for (at = data; (at = find(at, bytes - (size_t)(at - data), "http://ns.adobe.com/x")); at += n) {
		left = bytes - (size_t)(at - data);
		n = at - data >= 4 && at[-4] == 0xff && at[-3] == 0xe1 ? (size_t)at[-2] << 8 | at[-1] : 0;
		n = n > 2 && n - 2 < left ? n - 2 : 1;
		erased |= erase_xmp(at, n);
	}
	return erased;
}

/* Other formats have EXIF somewhere, plain: what begins as a TIFF and has a place is one. */
static int erase_anywhere(uint8_t *data, size_t bytes)
{
	static const char *const heads[] = {"II*", "MM"};
	uint8_t *at;
	int erased = 0;
	size_t i;

	for (i = 0; i < 2; i++)
		for (at = data; (at = find(at, bytes - (size_t)(at - data), heads[i])); at++)
			erased |= ns_exif_erase_place(at, bytes - (size_t)(at - data));
	return erased | erase_xmp(data, bytes);
}

int ns_place_erase(uint8_t *data, size_t bytes)
{
	if (bytes > 8 && !memcmp(data, "\x89PNG", 4))
		return erase_png(data, bytes);
	return bytes > 3 && data[0] == 0xff && data[1] == 0xd8 ? erase_jpeg(data, bytes) : erase_anywhere(data, bytes);
}
