/* datasets/shard/choose.c - some rows of a shard as if it had no others, and its labels by another list of classes. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/shard/shard_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

/* Values of `each` bytes, in place: the chosen rows ascend. */
static void choose_column(void *data, size_t each, const int64_t *row, int64_t n)
{
	char *x = data;
	int64_t i;

	for (i = 0; x && i < n; i++)
		memmove(x + (size_t)i * each, x + (size_t)row[i] * each, each);
}

/* Likewise texts end to end: `offset` of each, and of the end. */
static void choose_texts(uint64_t *offset, uint8_t *text, const int64_t *row, int64_t n)
{
	uint64_t at = 0;
	int64_t i;

	for (i = 0; offset && i < n; i++) {
		uint64_t begin = offset[row[i]], bytes = offset[row[i] + 1] - begin;

		memmove(text + at, text + begin, bytes);
		offset[i] = at;
		at += bytes;
	}
	if (offset)
		offset[n] = at;
}

enum ns_status ns_shard_choose(struct ns_shard *s, const int64_t *row, int64_t n)
{
	struct ns_rows *r = &s->rows;
	int i;

	s->at = malloc(sizeof *s->at * (size_t)(n + 1));
	if (!s->at)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld of its rows", s->path, (long long)n);
	memcpy(s->at, row, sizeof *s->at * (size_t)n);
	choose_column(r->label, sizeof *r->label, row, n);
	choose_column(r->group, sizeof *r->group, row, n);
	choose_column(r->id, sizeof *r->id, row, n);
	choose_column(r->time, sizeof *r->time, row, n);
	for (i = 0; i < NS_FILE_COLUMNS; i++) {
		const struct ns_file_column *c = &ns_file_columns[i];

		choose_column(*(void **)(void *)((char *)&r->files + c->offset), c->value * (size_t)c->each, row, n);
	}
	choose_texts(r->source_offset, r->source, row, n);
	choose_texts(r->annotation_offset, r->annotation, row, n);
	r->rows = n;
	return NS_OK;
}

static int are_same(const struct ns_shard_head *h, char *const *names, int count)
{
	int i;

	for (i = 0; h->class_count == count && i < count && !strcmp(h->classes[i], names[i]); i++)
		;
	return h->class_count == count && i == count;
}

enum ns_status ns_shard_relabel(struct ns_shard *s, char *const *names, int count)
{
	struct ns_vocabulary all = {0};
	char **copy;
	enum ns_status status;
	int64_t i;
	int k;

	if (are_same(&s->head, names, count))
		return NS_OK;
	copy = calloc((size_t)count + 1, sizeof *copy);
	for (k = 0; copy && k < count && (copy[k] = strdup(names[k])); k++)
		;
	NS_GO(copy && k == count ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %d classes", s->path, count));
	NS_GO(ns_vocabulary_map(&all, names, count, NULL, 0));
	NS_GO(ns_vocabulary_map(&all, s->head.classes, s->head.class_count, s->rows.label, s->rows.rows));
	for (i = 0; i < s->rows.rows; i++) /* a class that is none of these is no label */
		s->rows.label[i] = s->rows.label[i] < count ? s->rows.label[i] : -1;
	ns_texts_free(s->head.classes, s->head.class_count);
	s->head.classes = copy;
	s->head.class_count = count;
	copy = NULL;
out:
	if (copy)
		ns_texts_free(copy, count);
	ns_vocabulary_release(&all);
	return status;
}
