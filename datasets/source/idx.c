/*
 * datasets/source/idx.c - IDX (MNIST's format), plain or gzip: images-idx3-ubyte beside labels-idx1-ubyte. Big-endian:
 * 0, 0, type 8 (u8), dimensions, sizes, values.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/source/stream_inner.h"
#include "host/base/base.h"

struct idx {
	FILE *pixels;	 /* unpacked, without a name: gone when the job is */
	uint8_t *labels; /* NULL: none beside */
	uint8_t *row;
	int h, w, c;
};

static const char *images_part(const char *path)
{
	const char *part = NULL, *base = strrchr(path, '/'), *next = base ? base : path;

	/* as they were published, and as 7-zip and Kaggle name them: train-images.idx3-ubyte */
	while ((next = strstr(next, "images"))) {
		if (!strncmp(next, "images-idx3", 11) || !strncmp(next, "images.idx3", 11))
			part = next;
		next++;
	}
	return part;
}

static enum ns_status idx_takes(const char *path, int *takes)
{
	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && images_part(path);
	return NS_OK;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum ns_status read_header(struct ns_stream *f, const char *path, int dims, uint32_t *sizes)
{
	uint8_t head[16];
	int i, n = 4 + 4 * dims;
	size_t got;

	NS_TRY(ns_stream_read(f, head, (size_t)n, &got));
	if (got != (size_t)n)
		return ns_fail(NS_BAD_DATA, "%s: ends within its header", path);
	if (head[0] || head[1] || head[2] != 8 || head[3] != dims)
		return ns_fail(NS_BAD_DATA, "%s: starts %02x%02x%02x%02x, expected 0000080%d (IDX of u8, %d dimensions)", path, head[0], head[1],
			       head[2], head[3], dims, dims);
	for (i = 0; i < dims; i++)
		sizes[i] = be32(head + 4 + 4 * i);
	return NS_OK;
}

/* copy n bytes of f to `to` (a file without a name), or memory; nothing comes after them */
static enum ns_status unpack(struct ns_stream *f, const char *path, uint64_t n, int to, uint8_t *memory)
{
	uint8_t buffer[1 << 16];
	uint64_t at = 0;
	size_t got;

	while (at < n) {
		NS_TRY(ns_stream_read(f, buffer, n - at < sizeof buffer ? (size_t)(n - at) : sizeof buffer, &got));
		if (!got)
			return ns_fail(NS_BAD_DATA, "%s: ends after %llu of %llu values", path, (unsigned long long)at, (unsigned long long)n);
		if (memory)
			memcpy(memory + at, buffer, got);
		else
			NS_TRY(ns_write_at(to, "TMPDIR", buffer, got, at));
		at += got;
	}
	NS_TRY(ns_stream_read(f, buffer, 1, &got)); /* so gzip's checksum is reached, too */
	return got ? ns_fail(NS_BAD_DATA, "%s: goes on after the %llu values that its header says", path, (unsigned long long)n) : NS_OK;
}

static enum ns_status unpack_images(struct ns_source *s, struct idx *x, struct ns_stream *f)
{
	uint32_t sizes[3];

	NS_TRY(read_header(f, s->path, 3, sizes));
	if (!sizes[1] || !sizes[2] || sizes[1] > 8192 || sizes[2] > 8192)
		return ns_fail(NS_BAD_DATA, "%s: images are %u x %u, expected sides from 1 to 8192", s->path, sizes[1], sizes[2]);
	s->items = sizes[0];
	x->h = (int)sizes[1];
	x->w = (int)sizes[2];
	x->c = 1;
	x->row = malloc((size_t)x->h * (size_t)x->w);
	x->pixels = tmpfile();
	if (!x->pixels || !x->row)
		return ns_io_error(s->path, "cannot make a temporary file to unpack it into (TMPDIR)");
	return unpack(f, s->path, (uint64_t)sizes[0] * sizes[1] * sizes[2], fileno(x->pixels), NULL);
}

static enum ns_status open_images(struct ns_source *s, struct idx *x)
{
	struct ns_stream *f;
	enum ns_status status;

	NS_TRY(ns_stream_open(&f, s->path));
	status = unpack_images(s, x, f);
	ns_stream_close(f);
	return status;
}

static enum ns_status unpack_labels(const struct ns_source *s, struct idx *x, const char *path, struct ns_stream *f)
{
	uint32_t n;

	NS_TRY(read_header(f, path, 1, &n));
	if (n != s->items)
		return ns_fail(NS_BAD_DATA, "%s: has %u labels, but %s has %lld images", path, n, s->path, (long long)s->items);
	x->labels = malloc((size_t)n + 1);
	return x->labels ? unpack(f, path, n, -1, x->labels) : ns_fail(NS_NO_MEMORY, "%s: out of memory for %u labels", path, n);
}

/* The labels' file beside the images', either of which may be packed or not; *is 0: none is there, and path is the first that was sought. */
static enum ns_status find_labels(const struct ns_source *s, char path[NS_PATH_MAX], int *is)
{
	const char *part = images_part(s->path), *rest = part + strlen("images-idx3");
	size_t n = strlen(rest);
	int packed = n > 3 && !strcmp(rest + n - 3, ".gz"), other;
	char first[NS_PATH_MAX];

	for (other = 0; other < 4; other++) { /* the same name, then unpacked or packed, then the other separator */
		int gz = other & 1 ? !packed : packed;
		char separator = other & 2 ? (part[6] == '-' ? '.' : '-') : part[6];

		NS_TRY(ns_path(path, "%.*slabels%cidx1%.*s%s", (int)(part - s->path), s->path, separator, (int)(packed ? n - 3 : n), rest,
			       gz ? ".gz" : ""));
		NS_TRY(ns_exists(path, is));
		if (*is)
			return NS_OK;
		if (!other)
			snprintf(first, sizeof first, "%s", path);
	}
	snprintf(path, NS_PATH_MAX, "%s", first);
	return NS_OK;
}

static enum ns_status open_labels(struct ns_source *s, struct idx *x)
{
	char path[NS_PATH_MAX];
	struct ns_stream *f;
	enum ns_status status;
	int is;

	NS_TRY(find_labels(s, path, &is));
	if (!is)
		return ns_source_pass_over(s, path, "is not there: these images have no labels");
	NS_TRY(ns_stream_open(&f, path));
	status = unpack_labels(s, x, path, f);
	ns_stream_close(f);
	return status;
}

static enum ns_status digit_classes(struct ns_source *s, const struct idx *x)
{
	char names[256][4];
	const char *list[256];
	int n = 0, i;
	int64_t j;

	for (j = 0; x->labels && j < s->items; j++)
		n = x->labels[j] >= n ? x->labels[j] + 1 : n;
	for (i = 0; i < n; i++) {
		snprintf(names[i], sizeof names[i], n > 100 ? "%03d" : n > 10 ? "%02d" : "%d", (i & 0xff));
		list[i] = names[i];
	}
	if (s->class_count)
		return NS_OK; /* they were given */
	s->numbers = n > 0;
	return ns_source_found_classes(s, list, n, 0);
}

static void idx_close(struct ns_source *s)
{
	struct idx *x = s->state;

	if (x->pixels)
		fclose(x->pixels);
	free(x->labels);
	free(x->row);
	free(x);
}

static enum ns_status idx_open(struct ns_source *s)
{
	struct idx *x = calloc(1, sizeof *x);

	if (!x)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	s->state = x;
	NS_TRY(open_images(s, x));
	NS_TRY(open_labels(s, x));
	return digit_classes(s, x);
}

static enum ns_status idx_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct idx *x = s->state;
	size_t n = (size_t)x->h * (size_t)x->w, len;
	const char *name;

	NS_TRY(ns_read_at(fileno(x->pixels), s->path, x->row, n, (uint64_t)item * n));
	out->data = x->row;
	out->bytes = n;
	out->h = x->h;
	out->w = x->w;
	out->c = x->c;
	out->label = x->labels ? x->labels[item] : -1;
	/* the same name packed or not: the same data makes the same bytes */
	name = strrchr(s->path, '/') ? strrchr(s->path, '/') + 1 : s->path;
	len = strlen(name);
	len -= len > 3 && !strcmp(name + len - 3, ".gz") ? 3 : 0;
	snprintf(out->name, sizeof out->name, "%.*s#%lld", (int)len, name, (long long)item);
	return NS_OK;
}

const struct ns_source_kind ns_source_idx = {"idx", idx_takes, idx_open, idx_get, idx_close, NULL, 1, NULL};
