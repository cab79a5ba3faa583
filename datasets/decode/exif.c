/* datasets/decode/exif.c - the few of EXIF's entries that an image set keeps. */
#include "datasets/decode/decode_inner.h"

#include <stdio.h>
#include <string.h>

enum { MAKE = 0x10f, MODEL = 0x110, ORIENTATION = 0x112, DATE = 0x132, DETAILS = 0x8769, PLACE = 0x8825, ORIGINAL = 0x9003 };
enum { TEXT = 2, SHORT = 3 };
#define ENTRIES_MOST 512 /* of a folder: a damaged count would read on and on */

struct exif {
	const uint8_t *data;
	size_t bytes;
	int big; /* most significant byte first */
	char make[32], model[48], date[20], original[20];
};

static uint32_t word(const struct exif *e, size_t at, int bytes)
{
	uint32_t x = 0;
	int i;

	for (i = 0; i < bytes; i++)
		x |= (uint32_t)e->data[at + (size_t)i] << 8 * (e->big ? bytes - 1 - i : i);
	return x;
}

static void copy_text(const struct exif *e, size_t entry, char *out, size_t most)
{
	size_t n = word(e, entry + 4, 4), at = n <= 4 ? entry + 8 : word(e, entry + 8, 4), i;

	if (word(e, entry + 2, 2) != TEXT || at > e->bytes || n > e->bytes - at)
		return;
	for (i = 0; i < n && i + 1 < most && e->data[at + i]; i++)
		out[i] = e->data[at + i] >= 32 && e->data[at + i] < 127 ? (char)e->data[at + i] : '?';
	while (i && out[i - 1] == ' ')
		i--;
	out[i] = 0;
}

/* Reads a folder; returns where its folder of details is, or 0. */
static size_t read_folder(struct exif *e, size_t at, struct ns_image *out)
{
	size_t details = 0, i, n;

	if (at < 8 || at > e->bytes || e->bytes - at < 2)
		return 0;
	n = word(e, at, 2);
	n = n > ENTRIES_MOST ? ENTRIES_MOST : n;
	for (i = 0, at += 2; i < n && e->bytes - at >= 12; i++, at += 12) {
		uint32_t value = word(e, at + 8, word(e, at + 2, 2) == SHORT ? 2 : 4);

		switch (word(e, at, 2)) {
		case MAKE:
			copy_text(e, at, e->make, sizeof e->make);
			break;
		case MODEL:
			copy_text(e, at, e->model, sizeof e->model);
			break;
		case DATE:
			copy_text(e, at, e->date, sizeof e->date);
			break;
		case ORIGINAL:
			copy_text(e, at, e->original, sizeof e->original);
			break;
		case ORIENTATION:
			out->orientation = value >= 1 && value <= 8 ? (int)value : 1;
			break;
		case PLACE:
			out->position = 1;
			break;
		case DETAILS:
			details = value;
			break;
		default:
			break;
		}
	}
	return details;
}

/* days since 1970 of a day of the Gregorian calendar (Howard Hinnant's algorithm) */
static int64_t days(int y, int m, int d)
{
	int64_t era, year = m <= 2 ? y - 1 : y, of_era, of_year;

	era = (year >= 0 ? year : year - 399) / 400;
	of_era = year - era * 400;
	of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t time_of(const char *text)
{
	int y, m, d, hour, minute, second;

	if (sscanf(text, "%4d:%2d:%2d %2d:%2d:%2d", &y, &m, &d, &hour, &minute, &second) != 6 || y < 1900 || m < 1 || m > 12 || d < 1 || d > 31 ||
	    hour < 0 || hour > 24 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return 0;
	return days(y, m, d) * 86400 + hour * 3600 + minute * 60 + second;
}

void ns_exif_read(const uint8_t *exif, size_t bytes, struct ns_image *out)
{
	struct exif e = {.data = exif, .bytes = bytes};
	size_t details;

	if (bytes > 6 && !memcmp(exif, "Exif\0\0", 6)) { /* a JPEG's segment has this before it, and some writers of others copy it */
		e.data += 6;
		e.bytes -= 6;
	}
	if (e.bytes < 8 || (memcmp(e.data, "II*\0", 4) && memcmp(e.data, "MM\0*", 4)))
		return;
	e.big = *e.data == 'M';
	details = read_folder(&e, word(&e, 4, 4), out);
	if (details)
		read_folder(&e, details, out);
	out->time = time_of(*e.original ? e.original : e.date);
	/* many models begin with their maker's name */
	if (*e.make && strncmp(e.model, e.make, strlen(e.make)))
		snprintf(out->camera, sizeof out->camera, "%s %.30s", e.make, e.model);
	else
		snprintf(out->camera, sizeof out->camera, "%s", e.model);
}
