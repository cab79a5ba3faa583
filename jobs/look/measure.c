/*
 * jobs/look/measure.c - the one pass over the pixels of a set. Rows are measured by all workers, a stretch at a time, and added up in whole
 * numbers, so that neither ranks nor threads change a digit.
 */
#include "jobs/look/look_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/formula/stats.h"

#define TASK	32 /* rows of a task */
#define STRETCH 4096

struct row { /* in millionths */
	int64_t brightness, contrast, saturation;
};

struct worker {
	uint8_t *pixels, *file;
	size_t capacity; /* of file */
};

struct pass {
	const struct ns_dataset *data;
	int64_t first, n; /* the stretch: rows of the set */
	struct worker *workers;
	struct row *rows;
};

void ns_look_size(const struct ns_shard *s, int64_t i, int side, int *h, int *w, int *c)
{
	const struct ns_row_files *f = &s->rows.files;
	int swap, longer;

	*h = s->head.h;
	*w = s->head.w;
	*c = s->head.c;
	if (!s->image_offset)
		return;
	swap = f->height && f->orientation[i] > 4 && !s->head.as_stored;
	*h = !f->height ? 0 : swap ? f->width[i] : f->height[i];
	*w = !f->height ? 0 : swap ? f->height[i] : f->width[i];
	*c = 3;
	if (*h < 1 || *w < 1)
		*h = *w = side;
	longer = *h > *w ? *h : *w;
	if (longer > side) {
		*h = (int)(((int64_t)*h * side + longer / 2) / longer);
		*w = (int)(((int64_t)*w * side + longer / 2) / longer);
	}
	*h += !*h;
	*w += !*w;
}

static int64_t millionths(float x)
{
	return llround((double)x * NS_LOOK_MILLION);
}

/* The definitions are those that infer and drift have: kernels/formula/stats.h. */
static void measure(const uint8_t *p, int h, int w, int c, struct row *row)
{
	struct ns_stat_sums sums = {0};
	float out[NS_STAT_COUNT];
	int64_t i, n = (int64_t)h * w;

	for (i = 0; i < n; i++, p += c) {
		int32_t l = ns_luma(p, c);

		sums.sum += l;
		sums.square += l * l;
		sums.chroma += ns_chroma(p, c);
	}
	ns_stats_finish(out, &sums, h, w);
	*row = (struct row){millionths(out[0]), millionths(out[1]), millionths(out[2])};
}

static enum ns_status one_task(void *context, int task, int worker)
{
	struct pass *p = context;
	struct worker *w = &p->workers[worker];
	int64_t i, from = (int64_t)task * TASK, end = from + TASK < p->n ? from + TASK : p->n;

	for (i = from; i < end; i++) {
		int64_t in_shard, row = p->first + i;
		const struct ns_shard *s = ns_dataset_at(p->data, row, &in_shard);
		int height, width, channels;

		ns_look_size(s, in_shard, NS_LOOK_SIDE, &height, &width, &channels);
		NS_TRY(ns_dataset_pixels(p->data, row, height, width, channels, w->pixels, &w->file, &w->capacity));
		measure(w->pixels, height, width, channels, &p->rows[i]);
	}
	return NS_OK;
}

static int after(const struct ns_look_place *a, const struct ns_look_place *b)
{
	return a->key > b->key || (a->key == b->key && a->row > b->row);
}

void ns_look_keep(struct ns_look_place *list, int64_t *n, int64_t most, struct ns_look_place p)
{
	int64_t at = *n;

	if (at == most && !after(&list[at - 1], &p))
		return;
	if (at == most)
		at--;
	else
		(*n)++;
	for (; at > 0 && after(&list[at - 1], &p); at--)
		list[at] = list[at - 1];
	list[at] = p;
}

static void keep(struct ns_look_measures *m, int odd, int64_t key, int64_t row)
{
	ns_look_keep(m->top[odd], &m->found[odd], NS_LOOK_TOP, (struct ns_look_place){key, row});
}

static void add(struct ns_look_measures *m, const struct row *r, int64_t row)
{
	int64_t square = r->brightness * r->brightness, bin = r->brightness * NS_LOOK_BINS / NS_LOOK_MILLION;

	m->images++;
	m->brightness += r->brightness;
	m->contrast += r->contrast;
	m->saturation += r->saturation;
	m->square_high += square >> 20;
	m->square_low += square & ((1 << 20) - 1);
	m->bins[bin < NS_LOOK_BINS ? bin : NS_LOOK_BINS - 1]++;
	keep(m, NS_LOOK_DARKEST, r->brightness, row);
	keep(m, NS_LOOK_BRIGHTEST, -r->brightness, row);
	keep(m, NS_LOOK_FLATTEST, r->contrast, row);
	if (r->saturation) /* what is grey is not the most saturated of anything */
		keep(m, NS_LOOK_COLOURED, -r->saturation, row);
}

static void join(struct ns_look_measures *to, const struct ns_look_measures *from)
{
	int64_t i;
	int odd, b;

	to->images += from->images;
	to->brightness += from->brightness;
	to->contrast += from->contrast;
	to->saturation += from->saturation;
	to->square_high += from->square_high;
	to->square_low += from->square_low;
	for (b = 0; b < NS_LOOK_BINS; b++)
		to->bins[b] += from->bins[b];
	for (odd = 0; odd < NS_LOOK_ODD; odd++)
		for (i = 0; i < from->found[odd]; i++)
			keep(to, odd, from->top[odd][i].key, from->top[odd][i].row);
}

static enum ns_status one_shard(struct ns_job *job, struct pass *p, int shard, struct ns_look_measures *m)
{
	int64_t at, end = p->data->first[shard + 1], i;

	for (at = p->data->first[shard]; at < end; at += p->n) {
		p->first = at;
		p->n = end - at < STRETCH ? end - at : STRETCH;
		NS_TRY(ns_workers_run(job->workers, (int)((p->n + TASK - 1) / TASK), one_task, p));
		for (i = 0; i < p->n; i++)
			add(m, &p->rows[i], at + i);
		ns_log_progress(job->log, "look", at + p->n, p->data->rows, "images");
	}
	return NS_OK;
}

static enum ns_status my_shards(struct ns_job *job, const struct ns_dataset *d, struct ns_look_measures *mine)
{
	const struct ns_shard_head *head = ns_dataset_head(d);
	size_t image = (size_t)head->h * (size_t)head->w * (size_t)head->c, least = (size_t)NS_LOOK_SIDE * NS_LOOK_SIDE * 3;
	int i, count = ns_workers_count(job->workers);
	struct pass p = {.data = d, .workers = calloc((size_t)count, sizeof *p.workers), .rows = malloc(sizeof *p.rows * STRETCH)};
	enum ns_status status = p.workers && p.rows ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for a look at it", d->path);

	for (i = 0; i < count && status == NS_OK; i++) {
		p.workers[i].pixels = malloc(image > least ? image : least);
		if (!p.workers[i].pixels)
			status = ns_fail(NS_NO_MEMORY, "%s: out of memory for its images", d->path);
	}
	for (i = 0; i < d->count && status == NS_OK; i++)
		if (ns_job_is_mine(job, i))
			status = one_shard(job, &p, i, mine);
	for (i = 0; p.workers && i < count; i++) {
		free(p.workers[i].pixels);
		free(p.workers[i].file);
	}
	free(p.workers);
	free(p.rows);
	return status;
}

enum ns_status ns_look_measure(struct ns_job *job, struct ns_look_set *set)
{
	size_t words = sizeof set->measures / sizeof(int64_t), ranks = (size_t)job->comm->size;
	struct ns_look_measures *each = calloc(ranks, sizeof *each);
	enum ns_status status = each ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %zu ranks", ranks);
	size_t r;

	if (status == NS_OK)
		status = my_shards(job, set->data, &each[job->comm->rank]);
	NS_GO(ns_job_agree(job, status));
	NS_GO(ns_comm_sum_i64(job->comm, (int64_t *)(void *)each, ranks * words));
	memset(&set->measures, 0, sizeof set->measures);
	for (r = 0; r < ranks; r++)
		join(&set->measures, &each[r]);
out:
	free(each);
	return status;
}
