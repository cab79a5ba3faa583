/* datasets/decode/place.c - a file without the place where it was taken. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <strings.h>
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

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* XMP: exif:GPSLatitude="48,8.5N", drone-dji:GpsLatitude = "+48.1", under any prefix, or the same as an element. */
static int erase_xmp(uint8_t *data, size_t bytes)
{
	uint8_t *at = data, *end = data + bytes;
	int erased = 0;

	for (; end - at > 4; at++) {
		if (*at != ':' || strncasecmp((const char *)at + 1, "gps", 3) != 0)
			continue;
		for (at++; at < end && *at != '=' && *at != '>' && *at != '<' && !is_blank(*at);)
			at++;
		while (at < end && (is_blank(*at) || *at == '='))
			at++;
		if (at < end && (*at == '"' || *at == '\'' || *at == '>'))
			for (at++, erased = 1; at < end && *at != '"' && *at != '\'' && *at != '<'; at++)
				*at = ' ';
		at--;
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

#define PLACES_MOST 16 /* a file has one or two; hostile ones have thousands, each of which takes its time */

/* A JPEG XL's boxes of packed EXIF and XMP, which cannot be changed in place, become free space. */
static int erase_packed(uint8_t *data, size_t bytes)
{
	size_t at = 12, n;
	int erased = 0;

	if (bytes < 12 || memcmp(data + 4, "JXL ", 4))
		return 0;
	for (; at + 12 <= bytes; at += n) {
		n = big32(data + at);
		n = n ? n : bytes - at;
		if (n < 12 || n > bytes - at)
			break;
		if (memcmp(data + at + 4, "brob", 4) || (memcmp(data + at + 8, "Exif", 4) && memcmp(data + at + 8, "xml ", 4)))
			continue;
		memcpy(data + at + 4, "free", 4);
		memset(data + at + 8, 0, n - 8);
		erased = 1;
	}
	return erased;
}

/* Other formats have EXIF somewhere, plain: what begins as a TIFF and has a place is one. */
static int erase_anywhere(uint8_t *data, size_t bytes)
{
	static const char *const heads[] = {"II*", "MM"};
	uint8_t *at;
	int places = 0;
	size_t i;

	for (i = 0; i < 2; i++)
		for (at = data; places < PLACES_MOST && (at = find(at, bytes - (size_t)(at - data), heads[i])); at++)
			places += ns_exif_erase_place(at, bytes - (size_t)(at - data));
	return (places > 0) | erase_xmp(data, bytes) | erase_packed(data, bytes);
}

int ns_place_erase(uint8_t *data, size_t bytes)
{
	if (bytes > 8 && !memcmp(data, "\x89PNG", 4))
		return erase_png(data, bytes);
	return bytes > 3 && data[0] == 0xff && data[1] == 0xd8 ? erase_jpeg(data, bytes) : erase_anywhere(data, bytes);
}
