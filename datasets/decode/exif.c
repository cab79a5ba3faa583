/* datasets/decode/exif.c - the few of EXIF's entries that an image set keeps. */
#include "datasets/decode/decode_inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAKE = 0x10f, MODEL = 0x110, ORIENTATION = 0x112, DATE = 0x132, DETAILS = 0x8769, PLACE = 0x8825, ORIGINAL = 0x9003 };
enum { SOUTH_OR_NORTH = 1, LATITUDE = 2, WEST_OR_EAST = 3, LONGITUDE = 4 }; /* of the folder of a place */
enum { TEXT = 2, SHORT = 3, LONG = 4, RATIONAL = 5, IFD = 13 };
#define PLACE_MOST   4096 /* bytes of one entry of a place */
#define ENTRIES_MOST 512  /* of a folder: a damaged count would read on and on */

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

/* Bytes of an entry's values, and where they are; 0: they are not all there. */
static size_t values_of(const struct exif *e, size_t entry, size_t *at)
{
	static const uint8_t bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
	size_t type = word(e, entry + 2, 2), n = word(e, entry + 4, 4);

	if (type >= sizeof bytes || n > e->bytes)
		return 0;
	n *= bytes[type];
	*at = n <= 4 ? entry + 8 : word(e, entry + 8, 4);
	return *at > e->bytes || n > e->bytes - *at ? 0 : n;
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

/* Degrees, minutes and seconds of an entry, as degrees; NAN: they are not said. */
static double degrees(const struct exif *e, size_t entry)
{
	size_t at, n = values_of(e, entry, &at), i;
	double sum = 0, unit = 1;

	if (word(e, entry + 2, 2) != RATIONAL || n < 8)
		return NAN;
	for (i = 0; i < 3 && 8 * i < n; i++, unit *= 60) {
		double under = word(e, at + 8 * i + 4, 4);

		if (under == 0 && (!i || word(e, at + 8 * i, 4))) /* seconds of 0/0 are none */
			return NAN;
		sum += under == 0 ? 0 : word(e, at + 8 * i, 4) / under / unit;
	}
	return sum;
}

/* The entries of a folder; *at: the first. */
static size_t entries_of(const struct exif *e, size_t folder, size_t *at)
{
	size_t n;

	if (folder < 8 || folder > e->bytes || e->bytes - folder < 2)
		return 0;
	n = word(e, folder, 2);
	*at = folder + 2;
	n = n > (e->bytes - *at) / 12 ? (e->bytes - *at) / 12 : n;
	return n > ENTRIES_MOST ? ENTRIES_MOST : n;
}

static void read_place(const struct exif *e, size_t folder, struct ns_image *out)
{
	size_t at, n = entries_of(e, folder, &at), i;
	double latitude = NAN, longitude = NAN;
	int south = 0, west = 0;

	for (i = 0; i < n; i++, at += 12)
		switch (word(e, at, 2)) {
		case SOUTH_OR_NORTH:
			south = e->data[at + 8] == 'S';
			break;
		case WEST_OR_EAST:
			west = e->data[at + 8] == 'W';
			break;
		case LATITUDE:
			latitude = degrees(e, at);
			break;
		case LONGITUDE:
			longitude = degrees(e, at);
			break;
		default:
			break;
		}
	if (!(latitude <= 90) || !(longitude <= 180))
		return;
	out->placed = 1;
	out->latitude = south ? -latitude : latitude;
	out->longitude = west ? -longitude : longitude;
}

/* Reads a folder; returns where its folder of details is, or 0. */
static size_t read_folder(struct exif *e, size_t at, struct ns_image *out)
{
	size_t details = 0, i, n = entries_of(e, at, &at);

	for (i = 0; i < n; i++, at += 12) {
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
			read_place(e, value, out);
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

/* Behind what stands before the TIFF; 0: it is none. */
static int begin(struct exif *e)
{
	if (e->bytes > 6 && !memcmp(e->data, "Exif\0\0", 6)) { /* a JPEG's segment has this before it, and some writers of others copy it */
		e->data += 6;
		e->bytes -= 6;
	}
	if (e->bytes < 8 || (memcmp(e->data, "II*\0", 4) && memcmp(e->data, "MM\0*", 4)))
		return 0;
	e->big = *e->data == 'M';
	return 1;
}

int ns_exif_erase_place(uint8_t *exif, size_t bytes)
{
	struct exif e = {.data = exif, .bytes = bytes};
	size_t at, n, k, i, values, entry, m;
	int erased = 0;

	n = begin(&e) ? entries_of(&e, word(&e, 4, 4), &at) : 0;
	exif += e.data - exif;
	for (i = 0; i < n; i++, at += 12) {
		if (word(&e, at, 2) != PLACE || (word(&e, at + 2, 2) != LONG && word(&e, at + 2, 2) != IFD) || word(&e, at + 4, 4) != 1)
			continue;
		for (k = 0, m = entries_of(&e, word(&e, at + 8, 4), &entry); k < m; k++, entry += 12) {
			size_t size = values_of(&e, entry, &values);

			if (size) /* where longer values are stays: zeros, and nothing else, are read there */
				memset(exif + values, 0, size < PLACE_MOST ? size : PLACE_MOST);
			erased = 1;
		}
	}
	return erased;
}

void ns_exif_read(const uint8_t *exif, size_t bytes, struct ns_image *out)
{
	struct exif e = {.data = exif, .bytes = bytes};
	size_t details;

	if (!begin(&e))
		return;
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
