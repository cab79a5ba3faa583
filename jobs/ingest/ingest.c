/*
 * jobs/ingest/ingest.c - writes images into shards. Items are numbered by the source; a data set is a stretch of a keyed permutation
 * of them (or of their order), cut into shards of `ingest.shard_rows`; ranks take shards in turn, so the bytes do not
 * depend on how many ranks there are. A broken image goes to quarantine.jsonl and never stops the job.
 */
#define _XOPEN_SOURCE 700
#include "host/base/base.h"
#include "jobs/ingest/ingest_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "datasets/shard/shard.h"
#include "jobs/task/task.h"
#include "kernels/formula/random.h"

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* the item at position `at` of the part */
static int64_t item_at(const struct ns_ingest *g, const struct ns_ingest_set *p, int64_t at)
{
	uint64_t n = (uint64_t)g->source.items, i = (uint64_t)(p->first + at);

	if (p->items)
		return p->items[at];
	return (int64_t)(g->permuted ? ns_permute(i, n, g->seed, NS_FOR_SPLIT, 0) : i);
}

static int keeps_label(const struct ns_ingest *g, const struct ns_ingest_set *p, int64_t at)
{
	return p->labelled < 0 || (int64_t)ns_permute((uint64_t)at, (uint64_t)p->rows, g->seed, NS_FOR_AUDIT, 0) < p->labelled;
}

static enum ns_status write_shard(struct ns_ingest *g, const struct ns_ingest_set *p, int shard)
{
	int64_t begin = shard * g->shard_rows, end = begin + g->shard_rows < p->rows ? begin + g->shard_rows : p->rows, i;
	int64_t *items = malloc(sizeof *items * 2 * (size_t)(end - begin));
	char path[NS_PATH_MAX];
	struct ns_shard_head head = {.classes = g->source.classes,
				     .class_count = g->source.class_count,
				     .h = g->h,
				     .w = g->w,
				     .c = g->c,
				     .as_stored = g->as_stored,
				     .background = g->background};
	struct ns_batch b = {0};
	enum ns_status status;

	NS_GO(items ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a shard of %lld rows", (long long)(end - begin)));
	snprintf(head.encoding, sizeof head.encoding, "%s", g->raw ? "raw" : g->encoding);
	snprintf(head.dataset, sizeof head.dataset, "%s", p->name);
	for (i = begin; i < end; i++) {
		items[2 * (i - begin)] = item_at(g, p, i);
		items[2 * (i - begin) + 1] = keeps_label(g, p, i);
	}
	qsort(items, (size_t)(end - begin), 2 * sizeof *items, by_number); /* so that the source is read front to back */
	NS_GO(ns_batch_init(&b, end - begin, g->image_bytes, g->files));
	b.group = g->group;
	b.group_by = g->group_by;
	NS_GO(ns_ingest_take(g, &b, items, end - begin, p->first + begin));
	g->grouped += b.grouped;
	head.formats = b.formats.words;
	head.format_count = b.formats.count;
	head.cameras = b.cameras.words;
	head.camera_count = b.cameras.count;
	head.groups = b.groups.words;
	head.group_count = b.groups.count;
	if (b.rows.rows) {
		NS_GO(ns_path(path, "%s%s%s/shard-%05d.h5", g->job->dir, g->folders ? "/" : "", g->folders ? p->name : "", shard));
		status = ns_shard_write(path, &head, &b.rows, b.image, g->raw ? NULL : b.offset);
	}
out:
	ns_batch_release(&b);
	free(items);
	return status;
}

/* --- files beside the shards --- */

static enum ns_status make_folders(struct ns_ingest *g)
{
	char path[NS_PATH_MAX];
	int i;

	for (i = 0; g->folders && i < g->set_count; i++) {
		NS_TRY(ns_path(path, "%s/%s", g->job->dir, g->sets[i].name));
		NS_TRY(ns_mkdirs(path));
	}
	return NS_OK;
}

static json_t *how_made(const struct ns_ingest *g, const struct ns_ingest_set *p, const char *source)
{
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "by", "ingest", "source", ns_json_string(source), "seed", (json_int_t)g->seed, "first",
			 (json_int_t)p->first, "rows", (json_int_t)p->rows, "labelled", (json_int_t)p->labelled);
}

/* Publishes the part of an array's task: its shards, and the index of each data set that the merged result needs. */
static enum ns_status publish_part(struct ns_ingest *g, const char *source)
{
	json_t *files = json_array(), *sets = json_array();
	enum ns_status status = NS_OK;
	int i, s, turn = 0;

	for (i = 0; i < g->set_count; i++) {
		const struct ns_ingest_set *p = &g->sets[i];

		json_array_append_new(sets, json_pack("{s:s?, s:s, s:i, s:o}", "folder", g->folders ? p->name : NULL, "name", p->name, "shards",
						      p->shards, "made", how_made(g, p, source)));
		for (s = 0; s < p->shards; s++, turn++) {
			char path[NS_PATH_MAX], name[NS_PATH_MAX];
			int is;

			snprintf(name, sizeof name, "%s%sshard-%05d.h5", g->folders ? p->name : "", g->folders ? "/" : "", s);
			NS_GO(ns_path(path, "%s/%s", g->job->dir, name));
			/* every image of a shard may have been refused */
			NS_GO(ns_exists(path, &is));
			if (ns_job_part_of(g->job, turn) && is)
				json_array_append_new(files, json_pack("{s:s}", "file", name));
		}
	}
	status = ns_part_write(g->job, json_pack("{s:O, s:f}", "sets", sets, "refuse_share", g->refuse_share), json_incref(files));
out:
	json_decref(sets);
	json_decref(files);
	return status;
}

static enum ns_status publish_sets(struct ns_ingest *g, const char *source)
{
	json_t *parents, *made;
	enum ns_status status = NS_OK;
	int i;

	if (g->job->parts > 1)
		return publish_part(g, source);
	parents = json_array();
	for (i = 0; i < g->set_count && status == NS_OK; i++) {
		const struct ns_ingest_set *p = &g->sets[i];

		made = how_made(g, p, source);
		status = ns_dataset_publish(g->job, g->folders ? p->name : NULL, p->name, p->shards, parents, made);
		json_decref(made);
		if (status == NS_BAD_DATA && g->first_reason[0])
			status = ns_fail(status, "%s (the first that was refused: %s)", ns_message(), g->first_reason);
	}
	json_decref(parents);
	return status;
}

static enum ns_status ingest_all(struct ns_ingest *g)
{
	int p, s, turn = 0;

	for (p = 0; p < g->set_count; p++)
		for (s = 0; s < g->sets[p].shards; s++)
			if (ns_job_is_mine(g->job, turn++))
				NS_TRY(write_shard(g, &g->sets[p], s));
	return NS_OK;
}

/* none, white, black, or #rrggbb, as an option of ns_decode() */
static enum ns_status parse_background(struct ns_ingest *g)
{
	unsigned colour = 0;
	char rest;

	if (strcmp(g->orientation, "exif") && strcmp(g->orientation, "ignore"))
		return ns_fail(NS_CONFIG, "ingest.orientation = '%s', expected exif or ignore", g->orientation);
	g->as_stored = !strcmp(g->orientation, "ignore");
	if (!g->behind || !strcmp(g->behind, "none"))
		return NS_OK;
	if (!strcmp(g->behind, "white"))
		colour = 0xffffff;
	else if (strcmp(g->behind, "black") && (strlen(g->behind) != 7 || sscanf(g->behind, "#%6x%c", &colour, &rest) != 1))
		return ns_fail(NS_CONFIG, "ingest.background = '%s', expected none, white, black or #rrggbb", g->behind);
	g->background = (int)colour + 1;
	return NS_OK;
}

/* The class names of a data set or a model, in their order. */
static enum ns_status read_like(const struct ns_ingest *g, json_t **classes)
{
	static const char *const files[] = {"dataset.json", "model.json"};
	json_t *json = NULL;
	char path[NS_PATH_MAX];
	int i, is = 0;

	*classes = NULL;
	if (!g->like)
		return NS_OK;
	if (g->classes)
		return ns_fail(NS_CONFIG, "ingest.like and ingest.classes exclude each other: both say which classes there are");
	for (i = 0; i < 2 && !is; i++) {
		NS_TRY(ns_path(path, "%s/%s", g->like, files[i]));
		NS_TRY(ns_exists(path, &is));
	}
	if (!is)
		return ns_fail(NS_CONFIG, "ingest.like: %s has neither dataset.json nor model.json", g->like);
	NS_TRY(ns_json_read(path, &json, NULL));
	*classes = json_incref(json_object_get(json, "classes"));
	json_decref(json);
	if (json_array_size(*classes))
		return NS_OK;
	json_decref(*classes);
	*classes = NULL;
	return ns_fail(NS_BAD_DATA, "%s: names no classes", path);
}

#define READ(member, key) NS_CONF_FIELD(struct ns_ingest, member, key)
static const struct ns_conf_field settings[] = {
	READ(name, "ingest.name"),
	READ(group, "ingest.group"),
	READ(group_by, "ingest.group_by"),
	READ(size, "ingest.size"),
	READ(wanted, "ingest.encoding"),
	READ(split, "ingest.split"),
	READ(labelled, "ingest.labelled"),
	READ(orientation, "ingest.orientation"),
	READ(behind, "ingest.background"),
	READ(max_pixels, "ingest.max_pixels"),
	READ(refuse_share, "ingest.refuse_share"),
	READ(keep_gps, "ingest.keep_gps"),
	READ(like, "ingest.like"),
	READ(splits, "ingest.splits"),
	READ(follow, "ingest.follow"),
	READ(classes, "ingest.classes"),
	READ(shard_rows, "ingest.shard_rows"),
	READ(seed, "seed"),
};
#undef READ

/* One path, or all of them with commas between; the caller frees it. */
static char *sources_as_text(int n, char **paths)
{
	size_t bytes = 1;
	char *text;
	int i;

	for (i = 0; i < n; i++)
		bytes += strlen(paths[i]) + 2;
	text = calloc(1, bytes);
	for (i = 0; text && i < n; i++) {
		strcat(text, i ? ", " : "");
		strcat(text, paths[i]);
	}
	return text;
}

/* The classes of a list that is followed, so that each night has the same; NULL: it has none. */
static const json_t *known_classes(const struct ns_ingest *g)
{
	const json_t *classes = g->before ? ns_follow_classes(g->before) : NULL;

	return json_array_size(classes) ? classes : NULL;
}

/* Opens what there is to ingest; *from says its paths. */
static enum ns_status open_sources(struct ns_ingest *g, int argc, char **argv, char **from)
{
	enum ns_status status;
	json_t *like;

	NS_TRY(parse_background(g));
	NS_TRY(read_like(g, &like));
	*from = sources_as_text(argc, argv);
	status = g->follow ? ns_follow_open(&g->before, g->follow, argv, argc) : NS_OK;
	if (status == NS_OK)
		status = ns_source_open_all(&g->source, argv, argc, like ? like : g->classes ? g->classes : known_classes(g), g->before);
	json_decref(like);
	NS_TRY(status);
	if (!g->source.items)
		return ns_fail(NS_BAD_DATA, "%s: holds nothing new: %lld files were taken before, by %s", *from,
			       (long long)ns_follow_passed(g->before), g->follow);
	g->files = !g->source.kind->pixels;
	/* before the first shard is filled */
	return ns_h5_names_fit((const char *const *)g->source.classes, g->source.class_count, argv[0], "classes");
}

/* Collective. Each rank has looked at the source by itself: all must have seen the same, or some of it would be nobody's. */
static enum ns_status agree_on_source(struct ns_ingest *g)
{
	uint64_t mine = g->job->comm->size > 1 ? ns_source_digest(&g->source) : 0, first = mine;

	NS_TRY(ns_comm_broadcast(g->job->comm, &first, sizeof first, 0));
	return ns_job_agree(
		g->job,
		first == mine
			? NS_OK
			: ns_fail(NS_BAD_DATA,
				  "%s: changed while it was looked at: rank %d has seen other files than rank 0; begin again once it is at rest",
				  g->source.path, g->job->comm->rank));
}

/* Publishes what all ranks have taken; sums: as of ns_ingest_tell_done(). */
static enum ns_status publish(struct ns_ingest *g, const char *from, int64_t sums[7])
{
	char index[NS_PATH_MAX];
	struct ns_job *job = g->job;
	enum ns_status status = NS_OK;

	if (!sums[0] && g->first_reason[0] && job->parts == 1)
		status = ns_fail(NS_BAD_DATA, "%s: no image was fit to keep (the first: %s)", from, g->first_reason);
	NS_TRY(sums[0] || job->parts > 1 ? NS_OK : ns_job_agree(job, status)); /* in an array, merge reports it */
	NS_TRY(job->parts > 1 ? NS_OK : ns_job_agree(job, ns_ingest_check_share(g, sums)));
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? ns_ingest_join_quarantine(g) : NS_OK));
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 && job->part == 0 ? ns_ingest_write_passed(g) : NS_OK));
	NS_TRY(publish_sets(g, from));
	if (100 * sums[1] > sums[0] + sums[1])
		ns_log_warn(job->log, "%lld of %lld images were refused: quarantine.jsonl says why", (long long)sums[1],
			    (long long)(sums[0] + sums[1]));
	ns_ingest_tell_done(g, sums);
	ns_job_count(job, "in", job->parts > 1 ? sums[0] + sums[1] : g->source.items);
	ns_job_count(job, "out", sums[0]);
	ns_job_count(job, "refused", sums[1]);
	ns_job_input(job, "source", from, "");
	snprintf(index, sizeof index, "%.200s%sdataset.json", g->folders ? g->sets[0].name : "", g->folders ? "/" : "");
	if (g->before && job->comm->rank == 0)
		status = ns_follow_begin(g->before, job->dir, job->out, index, g->source.classes, g->source.class_count);
	NS_TRY(ns_job_agree(job, status));
	NS_TRY(ns_job_publish(job));
	if (g->before && job->comm->rank == 0 && ns_follow_end(g->before) != NS_OK) /* the list says so itself, and the next run asks */
		ns_log_warn(job->log, "%s: says still that %s is not published: %s", g->follow, job->out, ns_message());
	return NS_OK;
}

enum ns_status ns_job_ingest(struct ns_job *job, int argc, char **argv)
{
	struct ns_ingest g = {.job = job};
	enum ns_status status;
	int64_t sums[7];
	char *from = NULL;
	int i;

	if (argc < 1)
		return ns_fail(NS_USAGE, "ingest: expected SRC, and perhaps more of them");
	ns_conf_read(job->conf, settings, sizeof settings / sizeof *settings, &g);
	if (g.follow && job->parts > 1)
		return ns_fail(NS_USAGE, "ingest: --follow cannot be combined with --part: the parts of an array would each add to the list");
	NS_GO(ns_job_agree(job, open_sources(&g, argc, argv, &from)));
	NS_GO(agree_on_source(&g));
	NS_GO(ns_job_begin(job, 0));
	NS_GO(ns_ingest_encoding(&g));
	NS_GO(ns_ingest_sets(&g));
	ns_ingest_tell_source(&g);
	NS_GO(make_folders(&g));
	status = ingest_all(&g);
	if (status == NS_OK)
		status = ns_ingest_write_quarantine(&g);
	NS_GO(ns_job_agree(job, status));
	sums[0] = g.taken;
	sums[1] = g.refused;
	sums[2] = g.turned;
	sums[3] = g.transparent;
	sums[4] = g.profiles;
	sums[5] = g.warned;
	sums[6] = g.grouped;
	NS_GO(ns_comm_sum_i64(job->comm, sums, 7));
	g.refused = sums[1];
	status = publish(&g, from, sums);
out:
	for (i = 0; i < g.set_count; i++)
		free(g.sets[i].items);
	free(g.quarantine);
	free(from);
	ns_source_close(&g.source);
	ns_follow_close(g.before);
	return status;
}
