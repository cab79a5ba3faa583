/* datasets/source/arrays_npy.c - a .npy of images, beside a .npy of their labels. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/source/arrays_inner.h"
#include "host/base/base.h"

struct npy {
	struct ns_arrays arrays; /* the images, and perhaps the labels */
	int fd[2];		 /* of each of them; -1: not open */
};

static enum ns_status npy_takes(const char *path, int *takes)
{
	size_t n = strlen(path);

	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && n > 4 && !strcasecmp(path + n - 4, ".npy");
	return NS_OK;
}

static void npy_close(struct ns_source *s)
{
	struct npy *x = s->state;
	int i;

	for (i = 0; i < 2; i++)
		if (x->fd[i] >= 0)
			close(x->fd[i]);
	ns_arrays_release(&x->arrays);
	free(x);
}

/* The file's header; its values must be all that follows. */
static enum ns_status read_header(int fd, const char *path, int64_t size, struct ns_array *a)
{
	uint8_t head[NS_ARRAY_PREAMBLE];
	char *text = NULL;
	size_t at, bytes;
	enum ns_status status;

	if (size < (int64_t)sizeof head)
		return ns_fail(NS_BAD_DATA, "%s: has %lld bytes, expected an array as numpy.save() writes it", path, (long long)size);
	NS_TRY(ns_read_at(fd, path, head, sizeof head, 0));
	NS_TRY(ns_array_preamble(path, head, &at, &bytes));
	if ((int64_t)(at + bytes) > size)
		return ns_fail(NS_BAD_DATA, "%s: has %lld bytes, but a header of %zu: it is cut short", path, (long long)size, at + bytes);
	text = calloc(1, bytes + 1);
	NS_GO(text ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its header", path));
	NS_GO(ns_read_at(fd, path, text, bytes, at));
	NS_GO(ns_array_header(path, text, a));
	a->offset = at + bytes;
	size -= (int64_t)a->offset;
	if (a->kind != 'O' && a->kind != '?' && a->rank <= NS_ARRAY_RANK && ns_array_bytes(a) != size) {
		char said[NS_ARRAY_SAID];

		status = ns_fail(NS_BAD_DATA, "%s: holds %lld bytes of values, expected %lld of %s", path, (long long)size,
				 (long long)ns_array_bytes(a), ns_array_said(a, said));
	}
out:
	free(text);
	return status;
}

static enum ns_status open_array(struct npy *x, int which, const char *path)
{
	struct ns_array *a;
	struct stat st;

	NS_TRY(ns_open(&x->fd[which], path, 0));
	if (fstat(x->fd[which], &st))
		return ns_io_error(path, "cannot stat");
	NS_TRY(ns_arrays_add(&x->arrays, path, &a));
	return read_header(x->fd[which], path, (int64_t)st.st_size, a);
}

/* The word in the file's name that says images: between others, and not within one. */
static const char *find_word(const char *base, const char *word)
{
	size_t n = strlen(word);
	const char *at;

	for (at = base; (at = strstr(at, word)); at++)
		if ((at == base || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n]))
			return at;
	return NULL;
}

/* x_train.npy is beside y_train.npy. *is 0: no such file is there, and path is the first that was sought, or "". */
static enum ns_status find_labels(const struct ns_source *s, char path[NS_PATH_MAX], int *is)
{
	static const char *const pairs[][2] = {{"images", "labels"}, {"Images", "Labels"}, {"image", "label"}, {"image", "labels"},
					       {"x", "y"},	     {"X", "y"},	   {"X", "Y"},	       {"data", "labels"},
					       {"data", "label"},    {"data", "targets"},  {"data", "target"}};
	const char *base = strrchr(s->path, '/') ? strrchr(s->path, '/') + 1 : s->path;
	char first[NS_PATH_MAX] = "";
	size_t i;

	for (*is = 0, i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		const char *at = find_word(base, pairs[i][0]);

		if (!at)
			continue;
		NS_TRY(ns_path(path, "%.*s%s%s", (int)(at - s->path), s->path, pairs[i][1], at + strlen(pairs[i][0])));
		NS_TRY(ns_exists(path, is));
		if (*is)
			return NS_OK;
		if (!*first)
			snprintf(first, sizeof first, "%s", path);
	}
	snprintf(path, NS_PATH_MAX, "%s", first);
	return NS_OK;
}

static enum ns_status read_labels(struct ns_source *s, struct npy *x)
{
	const struct ns_array_set *set = x->arrays.set;
	const struct ns_array *a = set->labels;
	int64_t step = ((int64_t)1 << 18) / a->bytes, at, n;
	uint8_t *block = malloc((size_t)(step * a->bytes));
	enum ns_status status = block ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its labels", a->key);

	for (at = 0; at < set->n && status == NS_OK; at += n) {
		n = set->n - at < step ? set->n - at : step;
		NS_GO(ns_read_at(x->fd[1], a->key, block, (size_t)(n * a->bytes), a->offset + (uint64_t)(at * a->bytes)));
		NS_GO(ns_arrays_values(s, &x->arrays, set, at, n, block));
	}
out:
	free(block);
	return status;
}

static enum ns_status npy_open(struct ns_source *s)
{
	struct npy *x = calloc(1, sizeof *x);
	char path[NS_PATH_MAX];
	int is;

	if (!x)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	x->fd[0] = x->fd[1] = -1;
	s->state = x;
	NS_TRY(open_array(x, 0, s->path));
	NS_TRY(find_labels(s, path, &is));
	if (is)
		NS_TRY(open_array(x, 1, path));
	NS_TRY(ns_arrays_add_set(s, &x->arrays, &x->arrays.array[0], is ? &x->arrays.array[1] : NULL, -1));
	if (is)
		NS_TRY(read_labels(s, x));
	else
		NS_TRY(*path ? ns_source_pass_over(s, path, "is not there: these images have no labels")
			     : ns_source_note(s, "no labels: those of images.npy are sought in labels.npy, of x_train.npy in y_train.npy"));
	NS_TRY(ns_arrays_label(s, &x->arrays));
	return ns_arrays_make_row(s, &x->arrays);
}

static enum ns_status read_row(struct ns_source *s, const struct ns_array_set *set, int64_t row)
{
	struct npy *x = s->state;
	size_t n = x->arrays.row_bytes;
	enum ns_status status = ns_read_at(x->fd[0], s->path, x->arrays.row, n, set->images->offset + (uint64_t)row * n);

	/* it was as long as its header says: it was cut while it was read, and that ends the job */
	return status == NS_BAD_DATA ? ns_fail_in(NS_IO, "was changed while it was read") : status;
}

static enum ns_status npy_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct npy *x = s->state;

	return ns_arrays_get(s, &x->arrays, item, out, read_row);
}

const struct ns_source_kind ns_source_npy = {"npy", npy_takes, npy_open, npy_get, npy_close, NULL, 1, NULL};
