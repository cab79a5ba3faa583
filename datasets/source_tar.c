/*
 * datasets/source_tar.c - a tar of class/file images, plain, gzip or zstd, through libarchive. It is read front to
 * back; asking for an earlier item starts again. The class is the folder that holds the file.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"

#define FILE_MAX ((int64_t)1 << 30)

struct tar {
	struct archive *archive;
	int64_t next; /* number of the item that the archive will give next */
	uint8_t *data;
	size_t room;
};

static int tar_takes(const char *path)
{
	static const char *const ends[] = {".tar", ".tar.gz", ".tgz", ".tar.zst"};
	size_t n = strlen(path), i;

	for (i = 0; i < sizeof ends / sizeof *ends; i++)
		if (n > strlen(ends[i]) && !strcmp(path + n - strlen(ends[i]), ends[i]))
			return !ns_path_is_dir(path);
	return 0;
}

static enum ns_status start(struct ns_source *s, struct tar *t)
{
	if (t->archive)
		archive_read_free(t->archive);
	t->archive = archive_read_new();
	t->next = 0;
	archive_read_support_filter_gzip(t->archive);
	archive_read_support_filter_zstd(t->archive);
	archive_read_support_format_tar(t->archive);
	if (archive_read_open_filename(t->archive, s->path, 1 << 20) != ARCHIVE_OK)
		return ns_fail(NS_BAD_DATA, "%s: %s", s->path, archive_error_string(t->archive));
	return NS_OK;
}

static int is_item(struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e), *base;

	if (!name || archive_entry_filetype(e) != AE_IFREG)
		return 0;
	base = strrchr(name, '/');
	return (base ? base[1] : name[0]) != '.';
}

/* the next file; *e NULL at the end */
static enum ns_status advance(struct ns_source *s, struct tar *t, struct archive_entry **e)
{
	for (;;) {
		int code = archive_read_next_header(t->archive, e);

		if (code == ARCHIVE_EOF) {
			*e = NULL;
			return NS_OK;
		}
		if (code < ARCHIVE_WARN)
			return ns_fail(NS_BAD_DATA, "%s: after %lld files: %s", s->path, (long long)t->next,
				       archive_error_string(t->archive));
		if (is_item(*e)) {
			t->next++;
			return NS_OK;
		}
	}
}

/* the folder that holds the file */
static void class_of(const char *name, char *class_name, size_t size)
{
	const char *end = strrchr(name, '/'), *begin;

	*class_name = 0;
	if (!end)
		return;
	for (begin = end; begin > name && begin[-1] != '/'; begin--)
		;
	if (end > begin && !(end - begin == 1 && *begin == '.'))
		snprintf(class_name, size, "%.*s", (int)(end - begin), begin);
}

static void tar_close(struct ns_source *s)
{
	struct tar *t = s->state;

	if (t->archive)
		archive_read_free(t->archive);
	free(t->data);
	free(t);
}

static enum ns_status list_classes(struct ns_source *s, struct tar *t)
{
	char **names = NULL, name[128];
	int64_t count = 0, i;
	struct archive_entry *e;
	enum ns_status status;

	for (;;) {
		NS_GO(advance(s, t, &e));
		if (!e)
			break;
		class_of(archive_entry_pathname(e), name, sizeof name);
		for (i = 0; i < count && strcmp(names[i], name); i++)
			;
		if (i == count) {
			char **more = realloc(names, sizeof *names * (size_t)(count + 1));

			if (!more) {
				status = ns_fail(NS_NO_MEMORY, "%s: no memory for class names", s->path);
				goto out;
			}
			names = more;
			names[count++] = strdup(name);
		}
	}
	s->items = t->next;
	status = ns_source_found_classes(s, (const char *const *)names, count);
out:
	for (i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return status;
}

static enum ns_status tar_open(struct ns_source *s)
{
	struct tar *t = s->state = calloc(1, sizeof *t);

	if (!t)
		return ns_fail(NS_NO_MEMORY, "%s: no memory", s->path);
	NS_TRY(start(s, t));
	NS_TRY(list_classes(s, t));
	return start(s, t);
}

static enum ns_status tar_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct tar *t = s->state;
	struct archive_entry *e = NULL;
	int64_t bytes;

	if (item < t->next)
		NS_TRY(start(s, t));
	while (t->next <= item) {
		enum ns_status status = advance(s, t, &e);

		if (status != NS_OK)
			return status == NS_BAD_DATA ? ns_fail_in(NS_IO, "the archive cannot be read on") : status;
		if (!e)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	snprintf(out->name, sizeof out->name, "%.511s", archive_entry_pathname(e));
	class_of(archive_entry_pathname(e), out->class_name, sizeof out->class_name);
	out->label = ns_source_label(s, out->class_name);
	out->time = (int64_t)archive_entry_mtime(e);
	bytes = archive_entry_size(e);
	if (bytes < 0 || bytes > FILE_MAX)
		return ns_fail(NS_BAD_DATA, "claims %lld bytes; at most %lld are taken", (long long)bytes, (long long)FILE_MAX);
	if (t->room < (size_t)bytes) {
		uint8_t *more = realloc(t->data, (size_t)bytes);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: no memory for %lld bytes", out->name, (long long)bytes);
		t->data = more;
		t->room = (size_t)bytes;
	}
	if (archive_read_data(t->archive, t->data, (size_t)bytes) != bytes)
		return ns_fail(NS_BAD_DATA, "is cut short in the archive");
	out->data = t->data;
	out->bytes = (size_t)bytes;
	return NS_OK;
}

const struct ns_source_kind ns_source_tar = {"tar", tar_takes, tar_open, tar_get, tar_close};
