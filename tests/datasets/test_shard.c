/*
 * tests/datasets/test_shard.c - writing a shard and reading it is the identity, for shapes, columns and texts that a seed draws; the ends
 * of stretches of a MiB among them.
 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "datasets/shard/shard.h"
#include "host/base/base.h"
#include "tests/splitmix.h"

static char folder[] = "/tmp/nightshift-shard.XXXXXX", path[128];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/shard-00000.h5", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return ns_remove_tree(folder) != NS_OK;
}

static void fill(uint64_t *s, void *data, size_t bytes)
{
	uint8_t *p = data;

	while (bytes--)
		*p++ = (uint8_t)draw(s);
}

/* names as people give them, and as they should not */
static char **draw_texts(uint64_t *s, int n)
{
	static const char *const pieces[] = {"a",  "Z",	   "7",	 " ", "<b>&\"", "'", "/", "\\", "\xc3\xa4", "\xe6\xbc\xa2", "\xf0\x9f\x8c\x99",
					     "\t", "null", "..", "%s"};
	char **texts = calloc((size_t)n + 1, sizeof *texts);
	int i, k;

	assert_non_null(texts);
	for (i = 0; i < n; i++) {
		char text[256];

		snprintf(text, sizeof text, "%d", i); /* so that no two are the same */
		for (k = (int)below(s, 12); k > 0; k--)
			strcat(text, pieces[below(s, sizeof pieces / sizeof *pieces)]);
		texts[i] = strdup(text);
	}
	return texts;
}

static void free_texts(char **texts)
{
	int i;

	for (i = 0; texts[i]; i++)
		free(texts[i]);
	free(texts);
}

struct drawn { /* a shard as it is in memory */
	struct ns_shard_head head;
	struct ns_rows rows;
	uint64_t *offset; /* of encoded images, else NULL */
	uint8_t *image;
	size_t bytes;
};

static uint64_t *draw_offsets(uint64_t *s, int64_t rows, uint64_t most, uint64_t least)
{
	uint64_t *offset = calloc((size_t)rows + 1, sizeof *offset);
	int64_t i;

	assert_non_null(offset);
	for (i = 0; i < rows; i++)
		offset[i + 1] = offset[i] + least + below(s, most);
	return offset;
}

static void draw_rows(uint64_t *s, struct drawn *d)
{
	struct ns_rows *r = &d->rows;
	size_t n = (size_t)r->rows;
	int64_t i;

	r->label = malloc(n * sizeof *r->label);
	r->group = malloc(n * sizeof *r->group);
	r->id = malloc(n * sizeof *r->id);
	r->time = malloc(n * sizeof *r->time);
	for (i = 0; i < r->rows; i++) {
		r->label[i] = (int32_t)below(s, (uint64_t)d->head.class_count + 1) - 1;
		r->group[i] = d->head.group_count ? (int32_t)below(s, (uint64_t)d->head.group_count) : 0;
		r->id[i] = i == 0 ? UINT64_MAX : draw(s);
		r->time[i] = (int64_t)below(s, (uint64_t)1 << 33) - (1 << 30); /* some before 1970 */
	}
	if (below(s, 5) == 0)
		return; /* a shard need not say where its rows are from */
	r->source_offset = draw_offsets(s, r->rows, 40, 0);
	r->source = calloc((size_t)r->source_offset[n] + 1, 1);
	fill(s, r->source, (size_t)r->source_offset[n]);
	if (!r->source_offset[n]) /* HDF5 has no stretch of nothing */
		r->source_offset[n] = 1;
}

/* raw images of this shape, or encoded ones where h is 0; what is encoded is nobody's matter here */
static void draw_shard(uint64_t *s, struct drawn *d, int64_t rows, int h, int w, int c)
{
	static const char *const encodings[] = {"raw", "png", "jpeg"};

	*d = (struct drawn){.rows = {.rows = rows}, .head = {.h = h, .w = w, .c = c}};
	d->head.class_count = 1 + (int)below(s, 40);
	d->head.group_count = (int)below(s, 4);
	strcpy(d->head.encoding, encodings[h ? 0 : 1 + below(s, 2)]);
	snprintf(d->head.dataset, sizeof d->head.dataset, "set \xc3\xa4 %llu", (unsigned long long)below(s, 1000));
	d->head.classes = draw_texts(s, d->head.class_count);
	d->head.groups = draw_texts(s, d->head.group_count);
	if (h)
		d->bytes = (size_t)rows * (size_t)h * (size_t)w * (size_t)c;
	else
		d->bytes = (size_t)(d->offset = draw_offsets(s, rows, 3000, 1))[rows];
	d->image = malloc(d->bytes);
	assert_non_null(d->image);
	fill(s, d->image, d->bytes);
	draw_rows(s, d);
}

static void release(struct drawn *d)
{
	free_texts(d->head.classes);
	free_texts(d->head.groups);
	ns_rows_release(&d->rows);
	free(d->offset);
	free(d->image);
}

static void same_texts(char **a, int na, char **b, int nb)
{
	int i;

	assert_int_equal(na, nb);
	for (i = 0; i < na; i++)
		assert_string_equal(a[i], b[i]);
}

static void same_rows(const struct ns_rows *a, const struct ns_shard *b)
{
	size_t n = (size_t)a->rows, len;
	int64_t i;

	assert_int_equal(a->rows, b->rows.rows);
	assert_memory_equal(a->label, b->rows.label, n * sizeof *a->label);
	assert_memory_equal(a->group, b->rows.group, n * sizeof *a->group);
	assert_memory_equal(a->id, b->rows.id, n * sizeof *a->id);
	assert_memory_equal(a->time, b->rows.time, n * sizeof *a->time);
	for (i = 0; i < a->rows; i++) {
		const char *source = ns_shard_source(b, i, &len);

		assert_int_equal(len, a->source_offset ? a->source_offset[i + 1] - a->source_offset[i] : 0);
		if (len)
			assert_memory_equal(source, a->source + a->source_offset[i], len);
	}
}

static void same_images(uint64_t *s, const struct drawn *d, const struct ns_shard *b)
{
	size_t image = (size_t)d->head.h * (size_t)d->head.w * (size_t)d->head.c, room = 0, bytes;
	uint8_t *pixels = malloc(d->bytes), *file = NULL;
	int64_t i, first, count;

	assert_non_null(pixels);
	assert_int_equal(b->image_bytes, d->bytes);
	assert_true(d->bytes < 4096 || b->image_at % 4096 == 0); /* what is smaller is read as fast from anywhere */
	for (i = 0; i < 8 && image; i++) {			 /* all of them, then any of them */
		first = i ? (int64_t)below(s, (uint64_t)d->rows.rows) : 0;
		count = i ? (int64_t)below(s, (uint64_t)(d->rows.rows - first) + 1) : d->rows.rows;
		assert_int_equal(ns_shard_read(b, first, count, pixels), NS_OK);
		assert_memory_equal(pixels, d->image + (size_t)first * image, (size_t)count * image);
	}
	for (i = 0; i < d->rows.rows && !image; i++) {
		assert_int_equal(ns_shard_read_encoded(b, i, &file, &room, &bytes), NS_OK);
		assert_int_equal(bytes, d->offset[i + 1] - d->offset[i]);
		assert_memory_equal(file, d->image + d->offset[i], bytes);
	}
	if (image) {
		assert_int_equal(ns_shard_read(b, d->rows.rows, 1, pixels), NS_INVALID);
		assert_int_equal(ns_shard_read(b, -1, 1, pixels), NS_INVALID);
	}
	free(file);
	free(pixels);
}

/* The newest row's time, as the calendar has it: 1970 where all rows are older. */
static void check_created(const struct drawn *d)
{
	int64_t newest = 0, i, day, seconds;
	int year = 1970, month = 0;
	char want[64], *text;
	hid_t file;

	for (i = 0; i < d->rows.rows; i++)
		newest = d->rows.time[i] > newest ? d->rows.time[i] : newest;
	day = newest / 86400;
	seconds = newest % 86400;
	for (;; year++) {
		int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0), days[] = {31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

		if (day >= 365 + leap) {
			day -= 365 + leap;
			continue;
		}
		for (month = 0; day >= days[month]; month++)
			day -= days[month];
		break;
	}
	snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month + 1, (int)day + 1, (int)(seconds / 3600), (int)(seconds / 60 % 60),
		 (int)(seconds % 60));
	assert_int_equal(ns_h5_open(&file, path), NS_OK);
	text = ns_h5_get_text(file, "/", "created");
	assert_string_equal(text, want);
	free(text);
	ns_h5_file_close(file);
}

static void there_and_back(uint64_t *s, int64_t rows, int h, int w, int c)
{
	struct ns_shard *b = NULL;
	struct drawn d;

	draw_shard(s, &d, rows, h, w, c);
	if (ns_shard_write(path, &d.head, &d.rows, d.image, d.offset) != NS_OK)
		fail_msg("%s", ns_message());
	if (ns_shard_open(&b, path) != NS_OK)
		fail_msg("%s", ns_message());
	assert_string_equal(b->head.encoding, d.head.encoding);
	assert_string_equal(b->head.dataset, d.head.dataset);
	assert_true(b->head.h == h && b->head.w == w && b->head.c == c);
	same_texts(d.head.classes, d.head.class_count, b->head.classes, b->head.class_count);
	same_texts(d.head.groups, d.head.group_count, b->head.groups, b->head.group_count);
	same_rows(&d.rows, b);
	same_images(s, &d, b);
	assert_int_equal(b->checksums, (d.bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK);
	assert_int_equal(ns_shard_verify(b), NS_OK);
	check_created(&d);
	ns_shard_close(b);
	assert_int_equal(unlink(path), 0);
	release(&d);
}

static void is_the_identity(void **state)
{
	uint64_t s = 1;
	int round;

	(void)state;
	for (round = 0; round < 40; round++) {
		int64_t rows = 1 + (int64_t)below(&s, below(&s, 4) ? 20 : 700);
		int raw = below(&s, 3) > 0, h = 1 + (int)below(&s, 17), w = 1 + (int)below(&s, 17), c = below(&s, 2) ? 3 : 1;

		there_and_back(&s, rows, raw ? h : 0, raw ? w : 0, raw ? c : 0);
	}
}

/* of 1 MiB: just below, just that, just above, and several */
static void is_the_identity_at_the_ends_of_stretches(void **state)
{
	uint64_t s = 2;

	(void)state;
	there_and_back(&s, 1023, 32, 32, 1);
	there_and_back(&s, 1024, 32, 32, 1);
	there_and_back(&s, 1025, 32, 32, 1);
	there_and_back(&s, 3, 1024, 1024, 1);
	there_and_back(&s, 2, 999, 1001, 3);
	there_and_back(&s, 1500, 0, 0, 0);
}

/* Images of 28 x 28 in chunks of seven, as another program may store them: no MiB of them ends with a row. */
static void put_in_chunks(const struct drawn *d)
{
	hsize_t shape[4] = {(hsize_t)d->rows.rows, 28, 28, 1}, chunk[4] = {7, 28, 28, 1};
	hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate_simple(4, shape, NULL), how = H5Pcreate(H5P_DATASET_CREATE), set;

	assert_true(H5Ldelete(file, "image", H5P_DEFAULT) >= 0 && H5Pset_chunk(how, 4, chunk) >= 0);
	set = H5Dcreate2(file, "image", H5T_STD_U8LE, space, H5P_DEFAULT, how, H5P_DEFAULT);
	assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, d->image) >= 0);
	H5Dclose(set);
	H5Pclose(how);
	H5Sclose(space);
	assert_true(H5Fclose(file) >= 0);
}

static void chunks_are_verified_by_stretches(void **state)
{
	struct ns_shard *b = NULL;
	struct drawn d;
	uint64_t s = 3;

	(void)state;
	draw_shard(&s, &d, 3000, 28, 28, 1);
	assert_int_equal(ns_shard_write(path, &d.head, &d.rows, d.image, NULL), NS_OK);
	put_in_chunks(&d);
	assert_int_equal(ns_shard_open(&b, path), NS_OK);
	assert_true(b->image_at < 0 && b->checksums == 3);
	if (ns_shard_verify(b) != NS_OK)
		fail_msg("%s", ns_message());
	ns_shard_close(b);
	assert_int_equal(unlink(path), 0);
	release(&d);
}

/* what this shard says is refused, and the message holds this text, though all of its checksums are right */
static void is_refused(const struct drawn *d, const char *text)
{
	struct ns_shard *b = NULL;

	assert_int_equal(ns_shard_write(path, &d->head, &d->rows, d->image, d->offset), NS_OK);
	assert_int_equal(ns_shard_open(&b, path), NS_BAD_DATA);
	if (!strstr(ns_message(), text))
		fail_msg("no '%s' in '%s'", text, ns_message());
	assert_null(b);
	assert_int_equal(unlink(path), 0);
}

static void values_that_cannot_be_are_refused(void **state)
{
	struct drawn d;
	uint64_t s = 4, right;
	char text[64];

	(void)state;
	draw_shard(&s, &d, 9, 0, 0, 0);
	right = d.offset[4]; /* descends, then goes on to the end as it must */
	d.offset[4] = d.offset[5] + 1;
	snprintf(text, sizeof text, "image_offset[5] = %llu, but the one before is", (unsigned long long)d.offset[5]);
	is_refused(&d, text);
	d.offset[4] = right;
	snprintf(text, sizeof text, "label[8] = %d, but classes has %d", d.head.class_count, d.head.class_count);
	d.rows.label[8] = d.head.class_count; /* classes are counted from 0 */
	is_refused(&d, text);
	d.rows.label[8] = -2; /* -1 is no label */
	is_refused(&d, "label[8] = -2");
	release(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(is_the_identity), cmocka_unit_test(is_the_identity_at_the_ends_of_stretches),
					   cmocka_unit_test(chunks_are_verified_by_stretches), cmocka_unit_test(values_that_cannot_be_are_refused)};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
