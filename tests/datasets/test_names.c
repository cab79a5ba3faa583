/*
 * tests/datasets/test_names.c - names of classes, groups and cameras in a shard: an attribute up to 64,000 bytes, a data set beyond; either is
 * read, and what is damaged, of another shape or there twice is refused.
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
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "datasets/shard/shard.h"
#include "host/base/base.h"

static char folder[] = "/tmp/nightshift-names.XXXXXX", path[128];

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

/* n names of `size` bytes each, or shorter by a few where `ragged`; no two are the same */
static char **make_names(int n, int size, int ragged)
{
	char **names = calloc((size_t)n + 1, sizeof *names);
	int i;

	assert_non_null(names);
	for (i = 0; i < n; i++) {
		names[i] = malloc((size_t)size + 1);
		snprintf(names[i], (size_t)size + 1, "%0*d", size - (ragged && i % 3 ? i % 5 : 0), i);
	}
	return names;
}

/* a shard of two rows, whose label, group and camera are the last ones */
static enum ns_status write_shard(char **classes, int k, char **groups, int g, char **cameras, int c)
{
	static uint8_t pixels[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	int32_t label[2] = {k - 1, 0}, group[2] = {g ? g - 1 : 0, 0}, zero[2] = {0}, camera[2] = {c - 1, -1};
	uint64_t id[2] = {1, 2};
	int64_t time[2] = {0};
	uint8_t sha256[64] = {0};
	char *formats[] = {"png"};
	struct ns_shard_head head = {.encoding = "raw",
				     .dataset = "names",
				     .classes = classes,
				     .groups = groups,
				     .formats = formats,
				     .cameras = cameras,
				     .class_count = k,
				     .group_count = g,
				     .format_count = 1,
				     .camera_count = c,
				     .h = 2,
				     .w = 2,
				     .c = 1};
	struct ns_rows rows = {.rows = 2, .label = label, .group = group, .id = id, .time = time};

	if (c)
		rows.files = (struct ns_row_files){zero, zero, zero, time, zero, zero, time, camera, zero, sha256};
	return ns_shard_write(path, &head, &rows, pixels, NULL);
}

static void same(char **a, int na, char **b, int nb)
{
	int i;

	assert_int_equal(na, nb);
	for (i = 0; i < na; i++)
		assert_string_equal(a[i], b[i]);
}

/* Does the file have the names as a data set? */
static int has_set(const char *name)
{
	hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	int has = H5Lexists(file, name, H5P_DEFAULT) > 0;

	H5Fclose(file);
	return has;
}

static void there_and_back(char **classes, int k, char **groups, int g, char **cameras, int c)
{
	struct ns_shard *b = NULL;

	if (write_shard(classes, k, groups, g, cameras, c) != NS_OK || ns_shard_open(&b, path) != NS_OK)
		fail_msg("%s", ns_message());
	same(classes, k, b->head.classes, b->head.class_count);
	same(groups, g, b->head.groups, b->head.group_count);
	same(cameras, c, b->head.cameras, b->head.camera_count);
	assert_int_equal(b->rows.label[0], k - 1);
	ns_shard_close(b);
}

/* 4,000 names of 16 bytes are 64,000: one more of them, or one of one byte more, and they are a data set. */
static void border_of_the_attribute(void **state)
{
	char **just = make_names(4000, 16, 0), **more = make_names(4001, 16, 1), **groups = make_names(8000, 8, 1);
	char **cameras = make_names(12801, 5, 0);

	(void)state;
	there_and_back(just, 4000, groups, 8000, cameras, 12800);
	assert_false(has_set("class_names") || has_set("group_names") || has_set("camera_names"));
	assert_true(ns_h5_names_size((const char *const *)more, 4000) == 0 && ns_h5_names_size((const char *const *)more, 4001) == 16);
	there_and_back(more, 4001, groups, 8000, cameras, 12801);
	assert_true(has_set("class_names") && !has_set("group_names") && has_set("camera_names") && has_set("checksum/class_names"));
	free(just[7]);
	just[7] = strdup("seventeen letters");
	there_and_back(just, 4000, just, 4000, NULL, 0);
	assert_true(has_set("class_names") && has_set("group_names"));
	ns_texts_free(just, 4000);
	ns_texts_free(more, 4001);
	ns_texts_free(groups, 8000);
	ns_texts_free(cameras, 12801);
}

/* The checksums of the names as they lie in the file, which has them in one piece. */
static void sums_are_of_the_bytes(size_t bytes)
{
	hid_t file;
	uint64_t *sums = NULL;
	uint8_t *data = malloc(bytes);
	size_t i, n = (bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK;
	FILE *f = fopen(path, "rb");
	int64_t at;

	assert_int_equal(ns_h5_open(&file, path), NS_OK);
	at = ns_h5_offset(file, "class_names");
	assert_int_equal(ns_h5_read(file, path, "checksum/class_names", NS_H5_U64, 1, n, (void **)&sums), NS_OK);
	ns_h5_file_close(file);
	assert_true(at > 0 && f && fseek(f, (long)at, SEEK_SET) == 0 && fread(data, 1, bytes, f) == bytes);
	fclose(f);
	for (i = 0; i < n; i++)
		assert_true(sums[i] == ns_xxh3(data + i * NS_CHECKSUM_BLOCK, i + 1 < n ? NS_CHECKSUM_BLOCK : bytes - i * NS_CHECKSUM_BLOCK));
	free(data);
	free(sums);
}

/* Several bands, checksums of several MiB that no name ends with; one long name among many, which is packed. */
static void many_and_long(void **state)
{
	char **names = make_names(400000, 7, 1);
	struct stat st;

	(void)state;
	there_and_back(names, 400000, NULL, 0, NULL, 0);
	sums_are_of_the_bytes((size_t)7 * 400000);
	free(names[17000]);
	names[17000] = malloc(NS_NAME_BYTES + 2);
	memset(names[17000], 'x', NS_NAME_BYTES + 1);
	names[17000][NS_NAME_BYTES] = 0;
	there_and_back(names, 20000, NULL, 0, NULL, 0);
	assert_true(stat(path, &st) == 0 && st.st_size < 8 << 20);
	names[17000][NS_NAME_BYTES] = 'x';
	names[17000][NS_NAME_BYTES + 1] = 0;
	assert_int_equal(write_shard(names, 20000, NULL, 0, NULL, 0), NS_BAD_DATA);
	assert_non_null(strstr(ns_message(), "name 17000 of its classes has 4097 bytes, expected at most 4096: 'xxx"));
	assert_int_equal(access(path, F_OK), -1); /* nothing half written stays */
	ns_texts_free(names, 400000);
	names = make_names(NS_NAMES_MOST + 1, 8, 0);
	assert_int_equal(ns_h5_names_fit((const char *const *)names, NS_NAMES_MOST, "x", "classes"), NS_OK);
	assert_int_equal(ns_h5_names_fit((const char *const *)names, NS_NAMES_MOST + 1, "x", "classes"), NS_BAD_DATA);
	assert_string_equal(ns_message(), "x: has 1000001 classes, expected at most 1000000");
	ns_texts_free(names, NS_NAMES_MOST + 1);
}

/* --- damage --- */

static void put_set(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, const void *data)
{
	hid_t space = H5Screate_simple(rank, dims, NULL), set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	assert_true(set >= 0 && (!data || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0));
	H5Dclose(set);
	H5Sclose(space);
}

static void without_sums(hid_t file)
{
	assert_true(H5Ldelete(file, "checksum", H5P_DEFAULT) >= 0);
}

static void both(hid_t file)
{
	assert_int_equal(ns_h5_set_texts(file, path, "/", "classes", (const char *const[]){"a", "b"}, 2), NS_OK);
}

static void neither(hid_t file)
{
	assert_true(H5Ldelete(file, "class_names", H5P_DEFAULT) >= 0);
}

static void numbers(hid_t file)
{
	neither(file);
	put_set(file, "class_names", H5T_STD_I32LE, 1, &(hsize_t){4001}, NULL);
}

static void two_dimensions(hid_t file)
{
	neither(file);
	put_set(file, "class_names", H5T_C_S1, 2, (hsize_t[]){4001, 2}, NULL);
}

static void too_long(hid_t file)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	neither(file);
	H5Tset_size(type, NS_NAME_BYTES + 1);
	put_set(file, "class_names", type, 1, &(hsize_t){4001}, NULL);
	H5Tclose(type);
}

static void too_many(hid_t file)
{
	neither(file);
	put_set(file, "class_names", H5T_C_S1, 1, &(hsize_t){NS_NAMES_MOST + 1}, NULL);
}

static void a_link(hid_t file)
{
	assert_true(H5Lmove(file, "class_names", file, "other", H5P_DEFAULT, H5P_DEFAULT) >= 0);
	assert_true(H5Lcreate_soft("/other", file, "class_names", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void a_group(hid_t file)
{
	neither(file);
	H5Gclose(H5Gcreate2(file, "class_names", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void fewer(hid_t file)
{
	neither(file);
	without_sums(file);
	put_set(file, "class_names", H5T_C_S1, 1, &(hsize_t){4000}, NULL);
}

static void no_sum(hid_t file)
{
	assert_true(H5Ldelete(file, "checksum/class_names", H5P_DEFAULT) >= 0);
}

static void another_name(hid_t file)
{
	hid_t set = H5Dopen2(file, "class_names", H5P_DEFAULT), type = H5Dget_type(set), space = H5Dget_space(set);
	hid_t one = H5Screate_simple(1, &(hsize_t){1}, NULL);

	H5Sselect_hyperslab(space, H5S_SELECT_SET, &(hsize_t){3000}, NULL, &(hsize_t){1}, NULL);
	assert_true(H5Dwrite(set, type, one, space, H5P_DEFAULT, "0000000000003001") >= 0);
	H5Sclose(one);
	H5Sclose(space);
	H5Tclose(type);
	H5Dclose(set);
}

static void long_where_any_length(hid_t file)
{
	char *text = malloc(NS_NAME_BYTES + 2), *texts[] = {"a", text};
	hid_t type = H5Tcopy(H5T_C_S1);

	memset(text, 'y', NS_NAME_BYTES + 1);
	text[NS_NAME_BYTES + 1] = 0;
	neither(file);
	H5Tset_size(type, H5T_VARIABLE);
	put_set(file, "class_names", type, 1, &(hsize_t){2}, texts);
	H5Tclose(type);
	free(text);
}

static const struct {
	void (*damage)(hid_t file);
	enum ns_status status;
	const char *said;
} cases[] = {
	{both, NS_BAD_DATA, "has both an attribute 'classes' and a data set 'class_names', expected one of them"},
	{neither, NS_BAD_DATA, "has neither an attribute 'classes' nor a data set 'class_names', expected one"},
	{numbers, NS_BAD_DATA, "class_names: holds no texts, expected UTF-8 strings"},
	{two_dimensions, NS_BAD_DATA, "class_names: has 2 dimensions, expected 1"},
	{too_long, NS_BAD_DATA, "class_names: holds texts of 4097 bytes, expected at most 4096"},
	{too_many, NS_BAD_DATA, "class_names: claims 1000001 names, expected at most 1000000"},
	{a_link, NS_BAD_DATA, "class_names: is a link, which is refused"},
	{a_group, NS_BAD_DATA, "class_names: is not a data set"},
	{fewer, NS_BAD_DATA, "class_names: claims 4000 bytes, but stores 0"},
	{no_sum, NS_BAD_DATA, "has checksums (as a group of its own, not a link), but none of 'class_names'"},
	{another_name, NS_DIGEST, "class_names: does not match its checksums"},
	{long_where_any_length, NS_BAD_DATA, "class_names[1]: has more than 4096 bytes"},
};

static void damage_is_refused(void **state)
{
	char **names = make_names(4001, 16, 0);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ns_shard *b = NULL;
		hid_t file;

		assert_int_equal(write_shard(names, 4001, NULL, 0, NULL, 0), NS_OK);
		file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
		cases[i].damage(file);
		assert_true(H5Fclose(file) >= 0);
		if (ns_shard_open(&b, path) != cases[i].status || !strstr(ns_message(), cases[i].said))
			fail_msg("case %zu: no '%s' in '%s'", i, cases[i].said, ns_message());
	}
	ns_texts_free(names, 4001);
}

/* as h5py stores a list of str, without checksums */
static void any_length_is_read(void **state)
{
	char **names = make_names(5000, 16, 1);
	hid_t file, type = H5Tcopy(H5T_C_S1);
	struct ns_shard *b = NULL;

	(void)state;
	assert_int_equal(write_shard(names, 5000, NULL, 0, NULL, 0), NS_OK);
	file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
	neither(file);
	without_sums(file);
	H5Tset_size(type, H5T_VARIABLE);
	put_set(file, "class_names", type, 1, &(hsize_t){5000}, names);
	H5Tclose(type);
	assert_true(H5Fclose(file) >= 0);
	if (ns_shard_open(&b, path) != NS_OK)
		fail_msg("%s", ns_message());
	same(names, 5000, b->head.classes, b->head.class_count);
	ns_shard_close(b);
	ns_texts_free(names, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(border_of_the_attribute), cmocka_unit_test(many_and_long),
					   cmocka_unit_test(damage_is_refused), cmocka_unit_test(any_length_is_read)};

	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
