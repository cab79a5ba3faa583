/* jobs/ingest/account.c - what became of everything that was seen: rows, quarantine, passed over; and what is told of it. */
#include "jobs/ingest/ingest_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/task/task.h"

enum ns_status ns_ingest_grow(void *pp, size_t *capacity, size_t need)
{
	void **p = pp, *more;
	size_t size = *capacity ? *capacity : 1 << 16;

	if (need <= *capacity)
		return NS_OK;
	while (size < need)
		size *= 2;
	more = realloc(*p, size);
	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu bytes of a shard; a smaller ingest.shard_rows needs less", size);
	*p = more;
	*capacity = size;
	return NS_OK;
}

enum ns_status ns_ingest_refuse(struct ns_ingest *g, const struct ns_taken *t)
{
	json_t *line =
		json_pack("{s:o, s:I, s:o}", "path", ns_json_string(t->item.name), "item", (json_int_t)t->number, "reason", ns_json_string(t->said));
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	enum ns_status status = text ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a line of quarantine.jsonl");
	size_t len = text ? strlen(text) : 0;

	if (!g->refused++)
		snprintf(g->first_reason, sizeof g->first_reason, "%.200s: %.300s", t->item.name, t->said);
	if (status == NS_OK)
		status = ns_ingest_grow(&g->quarantine, &g->quarantine_capacity, g->quarantine_bytes + len + 1);
	if (status == NS_OK) {
		memcpy(g->quarantine + g->quarantine_bytes, text, len);
		g->quarantine[g->quarantine_bytes + len] = '\n';
		g->quarantine_bytes += len + 1;
	}
	free(text);
	json_decref(line);
	return status;
}

enum ns_status ns_ingest_write_quarantine(const struct ns_ingest *g)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/quarantine.%d", g->job->dir, g->job->comm->rank));
	return ns_write_file(path, g->quarantine ? g->quarantine : "", g->quarantine_bytes);
}

/* Joins every rank's quarantined images in one file. */
enum ns_status ns_ingest_join_quarantine(struct ns_ingest *g)
{
	json_t *files = json_array(), *file;
	enum ns_status status;
	size_t i;
	int r;

	for (r = 0; r < g->job->comm->size; r++) {
		char path[NS_PATH_MAX];

		NS_GO(ns_path(path, "%s/quarantine.%d", g->job->dir, r));
		json_array_append_new(files, json_string_nocheck(path)); /* a path, used by this process only */
	}
	NS_GO(ns_quarantine_join(g->job, files));
	json_array_foreach(files, i, file)
		NS_GO(ns_remove_file(json_string_value(file)));
out:
	json_decref(files);
	return status;
}

/* What the source was taken for, before the work begins. */
void ns_ingest_tell_source(const struct ns_ingest *g)
{
	const struct ns_source *s = &g->source;
	json_t *splits = json_array(), *names = json_array();
	const json_t *note;
	size_t k;
	int i;

	for (i = 0; i < s->split_count; i++)
		json_array_append_new(splits, ns_json_string(s->splits[i]));
	for (i = 0; i < g->set_count; i++)
		json_array_append_new(names, ns_json_string(g->sets[i].name));
	ns_log_event(g->job->log, "source",
		     json_pack("{s:s, s:s, s:I, s:i, s:o, s:o, s:I}", "kind", s->kind->name, "kept", g->raw ? "raw" : g->encoding, "images",
			       (json_int_t)s->items, "classes", s->class_count, "splits", splits, "sets", names, "passed_over",
			       (json_int_t)json_array_size(s->passed)));
	json_array_foreach(s->notes, k, note)
		ns_log_warn(g->job->log, "%s: %s", s->path, json_string_value(note));
	if (s->split_count > 1 && !g->folders && !g->sets[0].items)
		ns_log_warn(g->job->log, "%s: its %d splits are taken together (ingest.splits)", s->path, s->split_count);
	if (g->before && ns_follow_passed(g->before))
		ns_log_event(g->job->log, "followed",
			     json_pack("{s:s, s:I}", "file", g->follow, "taken_before", (json_int_t)ns_follow_passed(g->before)));
	if (json_array_size(s->passed))
		ns_log_warn(g->job->log, "%zu files and folders are passed over, '%s' the first of them: passed.jsonl says why",
			    json_array_size(s->passed), ns_json_text(json_array_get(s->passed, 0), "path"));
}

/* passed.jsonl: what was seen in the source and is neither a row nor in quarantine */
enum ns_status ns_ingest_write_passed(const struct ns_ingest *g)
{
	char path[NS_PATH_MAX], *text = NULL;
	size_t bytes = 0, capacity = 0, i;
	enum ns_status status = NS_OK;
	const json_t *one;

	json_array_foreach(g->source.passed, i, one) {
		char *line = json_dumps(one, JSON_COMPACT);
		size_t n = line ? strlen(line) : 0;

		status = line ? ns_ingest_grow(&text, &capacity, bytes + n + 1) : ns_fail(NS_NO_MEMORY, "out of memory for passed.jsonl");
		if (status == NS_OK) {
			memcpy(text + bytes, line, n);
			text[bytes + n] = '\n';
			bytes += n + 1;
		}
		free(line);
		NS_GO(status);
	}
	NS_GO(ns_path(path, "%s/passed.jsonl", g->job->dir));
	status = ns_write_file(path, text ? text : "", bytes);
out:
	free(text);
	return status;
}

/* what was done to images, or left undone, that nobody would see in the pixels */
void ns_ingest_tell_done(const struct ns_ingest *g, const int64_t sums[7])
{
	if (sums[2])
		ns_log_warn(g->job->log, "%lld image%s an EXIF orientation, which %s", (long long)sums[2], sums[2] > 1 ? "s have" : " has",
			    g->as_stored ? "is ignored (ingest.orientation)" : "was applied: they stand upright");
	if (sums[3])
		ns_log_warn(g->job->log, "%lld image%s transparency: %s (ingest.background)", (long long)sums[3], sums[3] > 1 ? "s have" : " has",
			    g->background ? "composed over the colour that was given" : "alpha is dropped, the stored colours stay");
	if (sums[4])
		ns_log_warn(g->job->log, "%lld image%s a colour profile, which is not applied", (long long)sums[4], sums[4] > 1 ? "s have" : " has");
	if (sums[5])
		ns_log_warn(g->job->log, "%lld image%s drew warnings of a decoder that leave the pixels whole", (long long)sums[5],
			    sums[5] > 1 ? "s" : "");
	if (g->group_by && sums[0] && !sums[6])
		ns_log_warn(g->job->log, "ingest.group_by: no image has '%s' in its annotation; all are of the group '%s'", g->group_by, g->group);
}

#define REFUSED_FEW 10 /* a share of so few says nothing */

/* Too many refusals are more likely a fault of the command than of the images. */
enum ns_status ns_ingest_check_share(const struct ns_ingest *g, const int64_t sums[7])
{
	double all = (double)(sums[0] + sums[1]);

	if (sums[1] <= REFUSED_FEW || (double)sums[1] <= g->refuse_share * all)
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "%s: %lld of %lld images were refused, more than ingest.refuse_share = %g%s%s%s; raise it to keep the others",
		       g->source.path, (long long)sums[1], (long long)all, g->refuse_share, g->first_reason[0] ? " (the first: " : "",
		       g->first_reason[0] ? g->first_reason : "", g->first_reason[0] ? ")" : "");
}
