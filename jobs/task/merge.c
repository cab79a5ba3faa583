/*
 * jobs/task/merge.c - merges the parts of an array's tasks into one result, with the same bytes as one job would have published. A part
 * counts only if it was committed; a missing one is an error, never a smaller result. Files are linked, not copied, where the file system
 * can.
 */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "jobs/task/task.h"
#include "datasets/shard/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the merged result --- */

struct merge {
	struct ns_job *job;
	const char *folder;
	json_t **parts; /* part.json of each */
	int count;
	json_t *files; /* files of all parts, ordered by name */
};

/* Reads one part and checks that it was committed and belongs to the same work as part 0. */
static enum ns_status read_part(struct merge *m, int i)
{
	char path[NS_PATH_MAX];
	const json_t *p;
	int64_t part, parts;
	int is;

	NS_TRY(ns_path(path, "%s/%05d/run.json", m->folder, i));
	NS_TRY(ns_exists(path, &is));
	if (!is)
		return ns_fail(NS_IO, "%s: part %d of %d is not there (its task has no commit record)", m->folder, i, m->count);
	NS_TRY(ns_path(path, "%s/%05d/part.json", m->folder, i));
	NS_TRY(ns_json_read(path, &m->parts[i], "nightshift.part/1"));
	p = m->parts[i];
	NS_TRY(ns_json_get_int(p, "part", path, 0, INT64_MAX, &part));
	NS_TRY(ns_json_get_int(p, "parts", path, 1, INT64_MAX, &parts));
	if (part != i || parts != m->count)
		return ns_fail(NS_BAD_DATA, "%s: is part %lld of %lld, expected %d of %d", path, (long long)part, (long long)parts, i, m->count);
	if (strcmp(ns_json_text(p, "of"), ns_json_text(m->parts[0], "of")) ||
	    !json_equal(json_object_get(p, "index"), json_object_get(m->parts[0], "index")))
		return ns_fail(NS_BAD_DATA, "%s: is part of other work than part 0 (another configuration, model or data)", path);
	return NS_OK;
}

static enum ns_status open_parts(struct merge *m)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *first;
	int64_t count;
	int i;

	NS_TRY(ns_path(path, "%s/00000/part.json", m->folder));
	NS_TRY(ns_json_read_if_there(path, &first, "nightshift.part/1"));
	if (!first)
		return ns_fail(NS_IO, "%s: part 0 is not there (its task has no commit record)", m->folder);
	status = ns_json_get_int(first, "parts", path, 1, 100000, &count);
	json_decref(first);
	NS_TRY(status);
	m->count = (int)count;
	m->parts = calloc((size_t)m->count, sizeof(json_t *));
	if (!m->parts)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %d parts", m->folder, m->count);
	for (i = 0; i < m->count; i++)
		NS_TRY(read_part(m, i));
	return NS_OK;
}

static int is_same_file(const char *a, const char *b)
{
	struct stat x, y;
	int code = errno, same = stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;

	errno = code;
	return same;
}

/* Links or copies a file, and checks that its digest is the one that the task wrote. */
static enum ns_status take_file(struct merge *m, int part, const json_t *file)
{
	const char *name = ns_json_text(file, "file"), *slash = strchr(name, '/');
	char from[NS_PATH_MAX], to[NS_PATH_MAX], dir[NS_PATH_MAX], hex[NS_SHA256_HEX], *data;
	enum ns_status status;
	size_t bytes;

	if (!*name || *name == '/' || strstr(name, ".."))
		return ns_fail(NS_BAD_DATA, "%s/%05d/part.json: invalid file name '%s' for a part", m->folder, part, name);
	NS_TRY(ns_path(from, "%s/%05d/%s", m->folder, part, name));
	NS_TRY(ns_path(to, "%s/%s", m->job->dir, name));
	if (slash) {
		NS_TRY(ns_path(dir, "%s/%.*s", m->job->dir, (int)(slash - name), name));
		NS_TRY(ns_mkdirs(dir));
	}
	NS_TRY(ns_sha256_file(hex, from));
	if (strcmp(hex, ns_json_text(file, "sha256")))
		return ns_fail(NS_DIGEST, "%s: has digest %.16s.., but its part.json says %.16s..; it was changed", from, hex,
			       ns_json_text(file, "sha256"));
	if (link(from, to) == 0)
		return NS_OK;
	if (errno == EEXIST && is_same_file(from, to)) /* NFS may lose the reply to a link that succeeded */
		return NS_OK;
	if (errno == EEXIST)
		return ns_fail(NS_BAD_DATA, "%s: is in two parts", name);
	NS_TRY(ns_read_file(from, &data, &bytes));
	status = ns_write_file(to, data, bytes);
	free(data);
	return status;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(ns_json_text(*(json_t *const *)a, "file"), ns_json_text(*(json_t *const *)b, "file"));
}

/* Collects the files of all parts, in order. */
static enum ns_status sort_files(struct merge *m)
{
	size_t n = 0, k, at;
	json_t **all, *file;
	int i;

	for (i = 0; i < m->count; i++)
		n += json_array_size(json_object_get(m->parts[i], "files"));
	all = malloc((n + 1) * sizeof(json_t *));
	m->files = json_array();
	if (!all || !m->files) {
		free(all);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for a list of %zu files", m->folder, n);
	}
	for (at = 0, i = 0; i < m->count; i++)
		json_array_foreach(json_object_get(m->parts[i], "files"), k, file)
			all[at++] = file;
	qsort(all, n, sizeof(json_t *), by_name);
	for (at = 0; at < n; at++)
		json_array_append(m->files, all[at]);
	free(all);
	return NS_OK;
}

static enum ns_status take_all(struct merge *m)
{
	size_t k;
	json_t *file;
	int i;

	for (i = 0; i < m->count; i++)
		json_array_foreach(json_object_get(m->parts[i], "files"), k, file)
			NS_TRY(take_file(m, i, file));
	return sort_files(m);
}

/* Adds up the counts of all parts. */
static enum ns_status sum_counts(struct merge *m)
{
	int i;

	for (i = 0; i < m->count; i++) {
		char path[NS_PATH_MAX];
		json_t *run, *value;
		const char *key;

		NS_TRY(ns_path(path, "%s/%05d/run.json", m->folder, i));
		NS_TRY(ns_json_read(path, &run, "nightshift.run/1"));
		json_object_foreach(json_object_get(run, "counts"), key, value)
			if (!strstr(key, "per_second"))
				ns_job_count(m->job, key, json_integer_value(value) + json_integer_value(json_object_get(m->job->counts, key)));
		json_decref(run);
	}
	return NS_OK;
}

static enum ns_status join_quarantines(struct merge *m)
{
	json_t *files = json_array();
	enum ns_status status;
	int i;

	for (i = 0; i < m->count; i++) {
		char path[NS_PATH_MAX];

		NS_GO(ns_path(path, "%s/%05d/quarantine.jsonl", m->folder, i));
		json_array_append_new(files, json_string_nocheck(path));
	}
	status = ns_quarantine_join(m->job, files);
out:
	json_decref(files);
	return status;
}

/* As one job would have judged: ten refused images say nothing, more than the share are an error. */
static enum ns_status check_share(const struct merge *m)
{
	double share = ns_json_number(json_object_get(m->parts[0], "index"), "refuse_share", 1);
	int64_t refused = json_integer_value(json_object_get(m->job->counts, "refused")),
		all = json_integer_value(json_object_get(m->job->counts, "in"));

	if (refused <= 10 || (double)refused <= share * (double)all)
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "%s: %lld of %lld images were refused, more than ingest.refuse_share = %g; the parts' quarantine.jsonl say why",
		       m->folder, (long long)refused, (long long)all, share);
}

/* What the source holds beside images every part has seen alike; the first has written it. */
static enum ns_status take_passed(struct merge *m)
{
	char from[NS_PATH_MAX], to[NS_PATH_MAX], *text;
	size_t bytes;
	enum ns_status status;

	NS_TRY(ns_path(from, "%s/00000/passed.jsonl", m->folder));
	NS_TRY(ns_path(to, "%s/passed.jsonl", m->job->dir));
	NS_TRY(ns_read_file(from, &text, &bytes));
	status = ns_write_file(to, text, bytes);
	free(text);
	return status;
}

/* Collective. */
static enum ns_status publish_data(struct merge *m)
{
	json_t *sets = json_object_get(json_object_get(m->parts[0], "index"), "sets"), *set, *parents = json_array();
	enum ns_status status;
	size_t i;

	NS_GO(check_share(m));
	NS_GO(ns_job_agree(m->job, m->job->comm->rank == 0 ? join_quarantines(m) : NS_OK));
	NS_GO(ns_job_agree(m->job, m->job->comm->rank == 0 ? take_passed(m) : NS_OK));
	json_array_foreach(sets, i, set) {
		const char *folder = json_string_value(json_object_get(set, "folder"));
		int64_t shards;

		NS_GO(folder && !ns_is_name(folder) ? ns_fail(NS_BAD_DATA, "%s: invalid name '%s' of a data set", m->folder, folder) : NS_OK);
		NS_GO(ns_json_get_int(set, "shards", m->folder, 1, 100000, &shards));
		NS_GO(ns_dataset_publish(m->job, folder, ns_json_text(set, "name"), (int)shards, parents, json_object_get(set, "made")));
	}
	if (100 * json_integer_value(json_object_get(m->job->counts, "refused")) > json_integer_value(json_object_get(m->job->counts, "in")))
		ns_log_warn(m->job->log, "%lld of %lld images were refused: quarantine.jsonl says why",
			    (long long)json_integer_value(json_object_get(m->job->counts, "refused")),
			    (long long)json_integer_value(json_object_get(m->job->counts, "in")));
out:
	json_decref(parents);
	return status;
}

static enum ns_status publish_predictions(struct merge *m)
{
	const json_t *index = json_object_get(m->parts[0], "index");
	char digest[NS_SHA256_HEX];
	int64_t files;

	NS_TRY(ns_json_get_int(index, "files", m->folder, 0, INT64_MAX, &files));
	if (files != (int64_t)json_array_size(m->files))
		return ns_fail(NS_BAD_DATA, "%s: %zu files in all parts, expected %lld", m->folder, json_array_size(m->files), (long long)files);
	if (m->job->comm->rank != 0)
		return NS_OK;
	return ns_predictions_index(m->job->dir, ns_json_text(index, "model"), ns_json_text(index, "dataset"), m->files, digest);
}

enum ns_status ns_job_merge(struct ns_job *job, int argc, char **argv)
{
	struct merge m = {.job = job, .folder = argc == 1 ? argv[0] : NULL};
	const char *verb;
	enum ns_status status;
	int i;

	if (argc != 1)
		return ns_fail(NS_USAGE, "merge: expected one folder of parts, found %d", argc);
	NS_GO(open_parts(&m));
	verb = ns_json_text(m.parts[0], "verb");
	NS_GO(ns_job_begin(job, 0));
	if (job->comm->rank == 0)
		status = take_all(&m);
	else
		status = sort_files(&m);
	NS_GO(ns_job_agree(job, status));
	NS_GO(sum_counts(&m));
	if (!strcmp(verb, "ingest"))
		status = publish_data(&m);
	else if (!strcmp(verb, "infer"))
		status = ns_job_agree(job, publish_predictions(&m));
	else
		status = ns_fail(NS_BAD_DATA, "%s: parts of '%s', expected those of ingest or infer", m.folder, verb);
	if (status == NS_OK) {
		ns_job_input(job, "parts", m.folder, ns_json_text(m.parts[0], "of"));
		status = ns_job_publish(job);
	}
out:
	for (i = 0; m.parts && i < m.count; i++)
		json_decref(m.parts[i]);
	free(m.parts);
	json_decref(m.files);
	return status;
}
