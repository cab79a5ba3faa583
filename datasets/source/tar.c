/*
 * datasets/source/tar.c - an archive of images through libarchive: tar, plain or packed, and zip. It is read front to back; asking for an
 * earlier item starts again. What its paths mean is decided in tree.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/source/stream_inner.h"
#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define FILE_MAX ((int64_t)1 << 30)
#define PIECE	 ((size_t)1 << 18)

struct tar {
	struct archive *archive;
	struct archive *inner;	 /* a tar within it, whose entries are given in its place; NULL: none is open */
	char front[NS_PATH_MAX]; /* of names within that tar: its own without the end, and '/' */
	locale_t locale;	 /* of UTF-8, in which libarchive gives names; 0: this machine has none */
	struct ns_stream *stream;
	uint8_t *piece, *inner_piece;
	enum ns_status failed; /* of the reading below libarchive, and its message */
	char said[1024];
	struct ns_tree tree; /* numbers: of the entry in the archive */
	int64_t next;	     /* number of the entry that the archive will give next */
	uint8_t *data;
	size_t capacity;
};

enum ns_status ns_is_archive(const char *path, int *takes)
{
	static const char *const ends[] = {".tar", ".tar.gz", ".tgz",	 ".tar.zst", ".tzst",	 ".tar.bz2",
					   ".tbz", ".tbz2",   ".tar.xz", ".txz",     ".tar.lz4", ".zip"};
	size_t i;
	int folder;

	for (*takes = 0, i = 0; i < sizeof ends / sizeof *ends; i++)
		*takes |= ns_ends_like(path, ends[i]);
	NS_TRY(ns_is_dir(path, &folder));
	*takes &= !folder;
	return NS_OK;
}

/* --- libarchive reads through our stream, so that an error of the disk is told from a damaged archive --- */

static la_ssize_t give(struct archive *a, void *context, const void **data)
{
	struct tar *t = context;
	size_t got;

	*data = t->piece;
	t->failed = ns_stream_read(t->stream, t->piece, PIECE, &got);
	if (t->failed == NS_OK)
		return (la_ssize_t)got;
	snprintf(t->said, sizeof t->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static la_int64_t skip(struct archive *a, void *context, la_int64_t bytes)
{
	struct tar *t = context;
	int64_t skipped;

	t->failed = ns_stream_skip(t->stream, bytes, &skipped);
	if (t->failed == NS_OK)
		return skipped;
	snprintf(t->said, sizeof t->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static la_int64_t seek(struct archive *a, void *context, la_int64_t offset, int whence)
{
	struct tar *t = context;
	int64_t at = ns_stream_seek(t->stream, offset, whence);

	if (at < 0)
		archive_set_error(a, 5, "cannot be read from its end");
	return at < 0 ? ARCHIVE_FATAL : at;
}

/* A tar within a tar is read through libarchive's reading of its entry. */
static la_ssize_t give_inner(struct archive *a, void *context, const void **data)
{
	struct tar *t = context;
	la_ssize_t got = archive_read_data(t->archive, t->inner_piece, PIECE);

	*data = t->inner_piece;
	if (got < 0)
		archive_set_error(a, 5, "the archive around it is damaged");
	return got < 0 ? -1 : got;
}

/* what gives entries now */
static struct archive *current(const struct tar *t)
{
	return t->inner ? t->inner : t->archive;
}

static enum ns_status tar_error(const struct ns_source *s, const struct tar *t)
{
	const char *why = archive_error_string(current(t));

	if (t->failed != NS_OK)
		return ns_fail(t->failed, "%s", t->said);
	return ns_fail(NS_BAD_DATA, "%s: %s%safter %lld files: %s", s->path, t->inner ? t->front : "", t->inner ? " " : "", (long long)t->next,
		       why ? why : "the archive is damaged");
}

static void close_inner(struct tar *t)
{
	if (t->inner)
		archive_read_free(t->inner);
	t->inner = NULL;
}

static enum ns_status start(struct ns_source *s, struct tar *t)
{
	close_inner(t);
	if (t->archive)
		archive_read_free(t->archive);
	ns_stream_close(t->stream);
	t->stream = NULL;
	t->next = 0;
	t->failed = NS_OK;
	t->archive = archive_read_new();
	if (!t->piece)
		t->piece = malloc(PIECE);
	if (!t->archive || !t->piece)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", s->path);
	NS_TRY(ns_stream_open(&t->stream, s->path));
	archive_read_support_format_tar(t->archive);
	archive_read_support_format_empty(t->archive);
	archive_read_support_format_zip(t->archive);   /* by the directory at its end, which says what was deleted; else front to back */
	archive_read_support_filter_bzip2(t->archive); /* gzip and zstd our stream unpacks itself, and checks to the end */
	archive_read_support_filter_xz(t->archive);
	archive_read_support_filter_lz4(t->archive);
	/* `cat a.tar b.tar` is an archive of both; and reading goes on to the end of what is packed, where its checksum is */
	archive_read_set_options(t->archive, "tar:read_concatenated_archives");
	archive_read_set_read_callback(t->archive, give);
	archive_read_set_skip_callback(t->archive, skip);
	archive_read_set_seek_callback(t->archive, seek);
	archive_read_set_callback_data(t->archive, t);
	if (archive_read_open1(t->archive) != ARCHIVE_OK)
		return tar_error(s, t);
	return NS_OK;
}

/* An archive ends in zeros: only their absence shows that one was cut between two files. */
static enum ns_status check_end(const struct ns_source *s, const struct tar *t)
{
	uint8_t tail[NS_STREAM_TAIL];
	size_t got, i;

	if (archive_filter_count(t->archive) > 1 || (archive_format(t->archive) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_TAR)
		return NS_OK; /* what libarchive unpacks, it checks; a zip ends otherwise */
	NS_TRY(ns_stream_tail(t->stream, tail, &got));
	for (i = 0; i < got && !tail[i]; i++)
		;
	if (got && (i < got || got < NS_STREAM_TAIL))
		return ns_fail(NS_BAD_DATA,
			       "%s: after %lld files: ends without tar's end mark (blocks of zeros), so it was cut short; if all is there, add them: "
			       "truncate -s +1024",
			       s->path, (long long)t->next);
	return NS_OK;
}

static int is_link(struct archive_entry *e)
{
	return archive_entry_hardlink(e) || archive_entry_filetype(e) == AE_IFLNK;
}

/* Is it a tar of its own? Those of ImageNet hold one for each class. */
static int is_tar(struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);

	return name && ns_ends_like(name, ".tar") && archive_entry_filetype(e) == AE_IFREG && !is_link(e);
}

static enum ns_status open_inner(struct ns_source *s, struct tar *t, const char *name)
{
	NS_TRY(ns_path(t->front, "%.*s/", (int)(strlen(name) - strlen(".tar")), name));
	if (!t->inner_piece)
		t->inner_piece = malloc(PIECE);
	t->inner = archive_read_new();
	if (!t->inner || !t->inner_piece)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", s->path);
	archive_read_support_format_tar(t->inner);
	archive_read_support_format_empty(t->inner);
	(void)archive_read_open(t->inner, t, NULL, give_inner, NULL); /* its first header shows whether that went well */
	return NS_OK;
}

/* Begins the tar that the entry *e is: *e becomes its first entry. *is 0: it is no tar, or holds nothing, and stays an entry. */
static enum ns_status enter(struct ns_source *s, struct tar *t, const char *name, struct archive_entry **e, int *is)
{
	struct archive_entry *first;
	int code;

	NS_TRY(open_inner(s, t, name));
	code = archive_read_next_header(t->inner, &first);
	*is = code == ARCHIVE_OK || code == ARCHIVE_WARN;
	if (*is)
		*e = first;
	else
		close_inner(t);
	return t->failed == NS_OK ? NS_OK : tar_error(s, t);
}

/* The next entry; *e NULL at the end. After a damaged header an unknown number of entries is lost, so it ends the job. */
static enum ns_status advance(struct ns_source *s, struct tar *t, struct archive_entry **e)
{
	for (;;) {
		int code = archive_read_next_header(current(t), e), is = 0;

		if (code == ARCHIVE_EOF && t->inner) {
			close_inner(t);
			continue;
		}
		if (code == ARCHIVE_EOF) {
			*e = NULL;
			return t->failed == NS_OK ? check_end(s, t) : tar_error(s, t);
		}
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN) /* a warning is of a name that this locale cannot represent */
			return tar_error(s, t);
		if (!t->inner && is_tar(*e))
			NS_TRY(enter(s, t, archive_entry_pathname(*e), e, &is));
		t->next++;
		return NS_OK;
	}
}

/* Lets go of what is open for reading, and of buffers: of a thousand archives one is read at a time. */
static void tar_rest(struct ns_source *s)
{
	struct tar *t = s->state;

	close_inner(t);
	if (t->archive)
		archive_read_free(t->archive);
	ns_stream_close(t->stream);
	free(t->piece);
	free(t->inner_piece);
	free(t->data);
	t->archive = NULL;
	t->stream = NULL;
	t->piece = t->inner_piece = t->data = NULL;
	t->capacity = 0;
}

static void tar_close(struct ns_source *s)
{
	struct tar *t = s->state;

	tar_rest(s);
	ns_tree_release(&t->tree);
	if (t->locale)
		freelocale(t->locale);
	free(t);
}

static enum ns_status damaged_entry(const struct tar *t, struct archive_entry *e)
{
	const char *why = archive_error_string(current(t));

	if (archive_entry_is_data_encrypted(e) == 1)
		return ns_fail(NS_BAD_DATA, "is encrypted; unpack the archive with its password");
	return ns_fail(NS_BAD_DATA, "is cut short or damaged in the archive%s%s", why ? ": " : "", why ? why : "");
}

/* Reads the entry's bytes; a zip may say only behind them how many they are. */
static enum ns_status read_entry(struct ns_source *s, struct tar *t, struct archive_entry *e, size_t *bytes)
{
	int64_t said = archive_entry_size_is_set(e) ? archive_entry_size(e) : -1;
	la_ssize_t got;

	if (said > FILE_MAX)
		return ns_fail(NS_BAD_DATA, "claims %lld bytes; at most %lld are taken", (long long)said, (long long)FILE_MAX);
	for (*bytes = 0;; *bytes += (size_t)got) {
		size_t want = said >= 0 ? (size_t)said + 1 : *bytes + (1 << 16); /* one more: nothing may follow */

		if (want > t->capacity) {
			uint8_t *more = realloc(t->data, want > 2 * t->capacity ? want : 2 * t->capacity);

			if (!more)
				return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu bytes", s->path, want);
			t->capacity = want > 2 * t->capacity ? want : 2 * t->capacity;
			t->data = more;
		}
		got = archive_read_data(current(t), t->data + *bytes, t->capacity - *bytes);
		if (got < 0)
			return t->failed != NS_OK ? tar_error(s, t) : damaged_entry(t, e);
		if (!got)
			break;
		if ((int64_t)*bytes + got > FILE_MAX)
			return ns_fail(NS_BAD_DATA, "unpacks to more than %lld bytes", (long long)FILE_MAX);
	}
	return said < 0 || *bytes == (size_t)said ? NS_OK : ns_fail(NS_BAD_DATA, "is cut short in the archive");
}

/* The text of an entry that says something of images. */
static enum ns_status read_words(struct ns_source *s, struct tar *t, struct archive_entry *e, const char *name)
{
	size_t most = ns_tree_words_most(name), bytes;
	enum ns_status status;

	if (archive_entry_size_is_set(e) && archive_entry_size(e) > (int64_t)most)
		return NS_OK;
	status = read_entry(s, t, e, &bytes);
	if (status == NS_BAD_DATA && t->failed == NS_OK)
		return ns_tree_words(&t->tree, name, NULL, 0);
	NS_TRY(status);
	return bytes <= most ? ns_tree_words(&t->tree, name, (const char *)t->data, bytes) : NS_OK;
}

/* The whole name of an entry, as UTF-8 where a zip has it otherwise. */
static enum ns_status name_of(const struct ns_source *s, const struct tar *t, struct archive_entry *e, char path[NS_PATH_MAX])
{
	const char *name = archive_entry_pathname(e);

	if (!name)
		return ns_fail(NS_BAD_DATA, "%s: entry %lld has no name", s->path, (long long)t->next);
	if ((archive_format(t->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ZIP) {
		ns_zip_name(path, NS_PATH_MAX, name);
		return NS_OK;
	}
	while (t->inner && !strncmp(name, "./", 2))
		name += 2;
	return ns_path(path, "%s%s", t->inner ? t->front : "", name);
}

/* An entry: a file, a link, which is an item that cannot be read, or a folder, which is added in case that it stays empty. */
static enum ns_status list_entry(struct ns_source *s, struct tar *t, struct archive_entry *e)
{
	char path[NS_PATH_MAX] = "";

	if (name_of(s, t, e, path) != NS_OK)
		return *path ? ns_tree_add(&t->tree, path, t->next, NS_ENTRY_PASSED, "has a name that is too long") : NS_BAD_DATA;
	if (archive_entry_filetype(e) == AE_IFDIR) {
		while (*path && path[strlen(path) - 1] == '/')
			path[strlen(path) - 1] = 0;
		t->tree.bare |= !t->inner && !strcmp(path, ".");
		return *path && strcmp(path, ".") ? ns_tree_add(&t->tree, path, t->next, NS_ENTRY_EMPTY, NULL) : NS_OK;
	}
	if (!*path)
		return ns_tree_add(&t->tree, path, t->next, NS_ENTRY_PASSED, "has no name");
	if (archive_entry_filetype(e) != AE_IFREG && !is_link(e))
		return ns_tree_add(&t->tree, path, t->next, NS_ENTRY_PASSED, "is neither a file nor a link");
	if (!t->inner && is_tar(e))
		return ns_tree_add(&t->tree, path, t->next, NS_ENTRY_PASSED, "is called a tar, but is none that can be read, or is empty");
	NS_TRY(ns_tree_add(&t->tree, path, t->next, NS_ENTRY_FILE, NULL));
	return ns_tree_words_most(path) && archive_entry_filetype(e) == AE_IFREG && !is_link(e) ? read_words(s, t, e, path) : NS_OK;
}

static enum ns_status list_entries(struct ns_source *s, struct tar *t)
{
	struct archive_entry *e;

	for (;;) {
		NS_TRY(advance(s, t, &e));
		if (!e)
			return NS_OK;
		NS_TRY(list_entry(s, t, e));
	}
}

static enum ns_status open_archive(struct ns_source *s)
{
	struct tar *t = s->state = calloc(1, sizeof *t);

	if (!t)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	t->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (t->locale)
		uselocale(t->locale); /* given back by whoever called */
	NS_TRY(start(s, t));
	t->tree.archive = 1;
	NS_TRY(list_entries(s, t));
	NS_TRY(ns_tree_drop_full(&t->tree));
	NS_TRY(ns_tree_pass_replaced(&t->tree));
	NS_TRY(ns_tree_plan(&t->tree, s));
	tar_rest(s);
	return NS_OK;
}

static enum ns_status tar_open(struct ns_source *s)
{
	locale_t before = uselocale((locale_t)0);
	enum ns_status status = open_archive(s);

	uselocale(before);
	return status;
}

static enum ns_status get_entry(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct tar *t = s->state;
	const struct ns_entry *is = &t->tree.entries[item];
	struct archive_entry *e = NULL;

	if (!t->archive || is->number <= t->next)
		NS_TRY(start(s, t));
	while (t->next < is->number) {
		enum ns_status status = advance(s, t, &e);

		if (status != NS_OK)
			return status == NS_BAD_DATA ? ns_fail_in(NS_IO, "the archive cannot be read on") : status;
		if (!e)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	snprintf(out->name, sizeof out->name, "%s", is->path);
	snprintf(out->class_name, sizeof out->class_name, "%.127s", is->unknown ? is->unknown : "");
	out->label = is->label;
	out->annotation = ns_tree_annotation(&t->tree, is->path);
	out->time = (int64_t)archive_entry_mtime(e);
	if (is_link(e))
		return ns_fail(NS_BAD_DATA, "is a link to '%s'; links in archives are not followed",
			       archive_entry_hardlink(e)  ? archive_entry_hardlink(e)
			       : archive_entry_symlink(e) ? archive_entry_symlink(e)
							  : "?");
	NS_TRY(read_entry(s, t, e, &out->bytes));
	out->data = t->data;
	return NS_OK;
}

static enum ns_status tar_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	const struct tar *t = s->state;
	locale_t before = uselocale(t->locale);
	enum ns_status status = get_entry(s, item, out);

	uselocale(before);
	return status;
}

const struct ns_source_kind ns_source_tar = {"tar", ns_is_archive, tar_open, tar_get, tar_close, tar_rest, 0, NULL};
