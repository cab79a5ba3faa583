#define _GNU_SOURCE
#include "tests/fuzz/sources.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "host/base/base.h"
#include "tests/fuzz/watch.h"

/*
 * A packing's header may ask for a dictionary of up to 4 GiB (LZMA's, PPMd's), which is one block that fills only as far as there are data, and
 * libarchive has no limit for it: such a block is not counted.
 */
#define DICTIONARY  ((size_t)48 << 20)
#define MEMORY_MOST ((size_t)64 << 20)

static uint64_t check_item(struct ns_source *s, int64_t i)
{
	struct ns_item item;
	enum ns_status status = ns_source_get(s, i, &item);

	if (status != NS_OK) {
		fuzz_check_message(0);
		return (uint64_t)status;
	}
	if (!memchr(item.name, 0, sizeof item.name) || !*item.name || !memchr(item.class_name, 0, sizeof item.class_name))
		fuzz_found("item %lld has no name", (long long)i);
	if (item.label < -1 || item.label >= s->class_count)
		fuzz_found("item %lld has label %d of %d classes", (long long)i, item.label, s->class_count);
	if (item.h && item.bytes != (size_t)item.h * (size_t)item.w * (size_t)item.c)
		fuzz_found("item %lld has %zu bytes for %d x %d x %d", (long long)i, item.bytes, item.h, item.w, item.c);
	return ns_xxh3(item.data, item.bytes) ^ (uint64_t)item.label ^ (uint64_t)item.time;
}

static void check_texts(const struct ns_source *s)
{
	const json_t *entry;
	size_t k;
	int i;

	json_array_foreach(s->passed, k, entry)
		if (!json_is_string(json_object_get(entry, "path")) || !json_is_string(json_object_get(entry, "reason")))
			fuzz_found("what is passed over has no path or no reason");
	for (i = 0; i < s->class_count; i++)
		if (!*s->classes[i])
			fuzz_found("class %d has no name", i);
	for (i = 0; i < s->split_count; i++)
		if (!*s->splits[i])
			fuzz_found("split %d has no name", i);
	for (k = 0; s->split_of && k < (size_t)s->items; k++)
		if (s->split_of[k] < 0 || s->split_of[k] >= s->split_count)
			fuzz_found("item %zu is of split %d of %d", k, s->split_of[k], s->split_count);
}

void fuzz_check_source(struct ns_source *s)
{
	uint64_t first = 0;
	int64_t i, n = s->items < 8 ? s->items : 8;

	if (s->items < 1)
		fuzz_found("a source was opened that has no items");
	check_texts(s);
	for (i = 0; i < n; i++) {
		uint64_t sum = check_item(s, i);

		first = i ? first : sum;
	}
	(void)check_item(s, s->items - 1);
	if (check_item(s, 0) != first)
		fuzz_found("the first item is another one, asked for again");
}

int fuzz_source(const char *path, const json_t *classes)
{
	struct ns_source s;
	enum ns_status status;
	int descriptor = fuzz_free_descriptor();

	fuzz_fill_memory(0xa5);
	fuzz_memory_begin(DICTIONARY);
	status = ns_source_open(&s, path, classes);
	if (status == NS_OK) {
		fuzz_check_source(&s);
		ns_source_close(&s);
	} else {
		fuzz_check_message(0);
	}
	if (fuzz_memory_peak() > MEMORY_MOST)
		fuzz_found("%zu bytes of memory", fuzz_memory_peak());
	if (fuzz_free_descriptor() != descriptor)
		fuzz_found("a file was left open");
	return status == NS_OK;
}

/* --- archives --- */

void fuzz_put_tar_sum(struct fuzz_bytes *tar, size_t at)
{
	unsigned sum = 0, i;
	char text[8];

	if (at + 512 > tar->size)
		return;
	memset(tar->data + at + 148, ' ', 8);
	for (i = 0; i < 512; i++)
		sum += tar->data[at + i];
	snprintf(text, sizeof text, "%06o", sum);
	memcpy(tar->data + at + 148, text, 7);
}

int fuzz_add_tar(struct fuzz_bytes *tar, const char *name, const void *data, size_t size)
{
	size_t at = tar->size, n = strlen(name), whole = 512 + (size + 511) / 512 * 512;
	char head[512] = {0};

	if (!n || n > 100 || !fuzz_replace(tar, at, 0, NULL, whole))
		return 0;
	memcpy(head, name, n);
	memcpy(head + 100,
	       "0000644\0"
	       "0000000\0"
	       "0000000",
	       24);
	snprintf(head + 124, 13, "%011zo", size);
	memcpy(head + 136, "14560000000", 12);
	head[156] = name[n - 1] == '/' ? '5' : '0';
	memcpy(head + 257,
	       "ustar\0"
	       "00",
	       8);
	memcpy(tar->data + at, head, sizeof head);
	if (size)
		memcpy(tar->data + at + 512, data, size);
	fuzz_put_tar_sum(tar, at);
	return 1;
}

int fuzz_add_zip(struct fuzz_bytes *zip, const char *name, const void *data, size_t size)
{
	size_t at = zip->size, n = strlen(name);

	if (!n || n > 1000 || !fuzz_replace(zip, at, 0, NULL, 30 + n + size))
		return 0;
	fuzz_put(zip, at, 0x04034b50, 4, 0);
	fuzz_put(zip, at + 4, 20, 2, 0);
	fuzz_put(zip, at + 6, 0x800, 2, 0); /* names are UTF-8 */
	fuzz_put(zip, at + 12, 0x5921, 2, 0);
	fuzz_put(zip, at + 14, (uint32_t)crc32(0, data, (uInt)size), 4, 0);
	fuzz_put(zip, at + 18, (uint32_t)size, 4, 0);
	fuzz_put(zip, at + 22, (uint32_t)size, 4, 0);
	fuzz_put(zip, at + 26, (uint32_t)n, 2, 0);
	memcpy(zip->data + at + 30, name, n);
	if (size)
		memcpy(zip->data + at + 30 + n, data, size);
	return 1;
}

int fuzz_end_zip(struct fuzz_bytes *zip)
{
	size_t begin = zip->size, from = 0, at, entries = 0;

	while (from < begin) { /* the directory repeats most of each entry's header */
		size_t n = fuzz_get(zip, from + 26, 2, 0), holds = fuzz_get(zip, from + 18, 4, 0);

		at = zip->size;
		if (!fuzz_replace(zip, at, 0, NULL, 46 + n))
			return 0;
		fuzz_put(zip, at, 0x02014b50, 4, 0);
		fuzz_put(zip, at + 4, 20, 2, 0);
		memcpy(zip->data + at + 6, zip->data + from + 4, 26);
		fuzz_put(zip, at + 42, (uint32_t)from, 4, 0);
		memcpy(zip->data + at + 46, zip->data + from + 30, n);
		from += 30 + n + holds;
		entries++;
	}
	at = zip->size;
	if (!fuzz_replace(zip, at, 0, NULL, 22))
		return 0;
	fuzz_put(zip, at, 0x06054b50, 4, 0);
	fuzz_put(zip, at + 8, (uint32_t)entries, 2, 0);
	fuzz_put(zip, at + 10, (uint32_t)entries, 2, 0);
	fuzz_put(zip, at + 12, (uint32_t)(at - begin), 4, 0);
	fuzz_put(zip, at + 16, (uint32_t)begin, 4, 0);
	return 1;
}

int fuzz_unpack(struct fuzz_bytes *b)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	uint8_t *out = malloc(b->room);
	la_ssize_t n = -1;

	archive_read_support_filter_all(a);
	archive_read_support_format_raw(a);
	if (out && archive_read_open_memory(a, b->data, b->size) == ARCHIVE_OK && archive_read_next_header(a, &entry) == ARCHIVE_OK)
		n = archive_read_data(a, out, b->room);
	archive_read_free(a);
	if (n > 0) {
		memcpy(b->data, out, (size_t)n);
		b->size = (size_t)n;
	}
	free(out);
	return n > 0;
}

int fuzz_pack(struct fuzz_bytes *b, enum fuzz_packing packing)
{
	static int (*const filters[])(struct archive *) = {archive_write_add_filter_none,  archive_write_add_filter_gzip,
							   archive_write_add_filter_bzip2, archive_write_add_filter_xz,
							   archive_write_add_filter_lz4,   archive_write_add_filter_zstd};
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	uint8_t *out = malloc(b->room);
	size_t used = 0;
	int good;

	archive_write_set_format_raw(a);
	good = out && filters[packing](a) == ARCHIVE_OK;
	archive_write_set_options(a, packing == FUZZ_XZ ? "compression-level=0" : packing == FUZZ_PLAIN ? "" : "compression-level=1");
	archive_write_set_bytes_per_block(a, 0);
	archive_entry_set_filetype(entry, AE_IFREG);
	good = good && archive_write_open_memory(a, out, b->room, &used) == ARCHIVE_OK && archive_write_header(a, entry) == ARCHIVE_OK &&
	       archive_write_data(a, b->data, b->size) == (la_ssize_t)b->size && archive_write_close(a) == ARCHIVE_OK;
	archive_entry_free(entry);
	archive_write_free(a);
	if (good) {
		memcpy(b->data, out, used);
		b->size = used;
	}
	free(out);
	return good;
}
