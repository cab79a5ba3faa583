/* jobs/look/look.c - finds the sets, has them measured, tells what they are, and writes the page where --out is given. */
#include "host/onnx/onnx.h"
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>

/* NS_BAD_DATA with what a path is that is no data set. */
static enum ns_status what_else(const char *path)
{
	static const char *const kinds[][2] = {{"predictions.json", "predictions"},
					       {"model.json", "a model"},
					       {"night.json", "a night"},
					       {"drift.json", "what drift found"},
					       {"part.json", "one part of an array's"},
					       {"evaluation.json", "an evaluation"},
					       {"look.json", "what look wrote"},
					       {"bench.json", "what bench measured"}};
	char file[NS_PATH_MAX];
	int folder, is;
	size_t i;

	NS_TRY(ns_is_dir(path, &folder));
	for (i = 0; folder && i < sizeof kinds / sizeof *kinds; i++) {
		NS_TRY(ns_path(file, "%s/%s", path, kinds[i][0]));
		NS_TRY(ns_exists(file, &is));
		if (is)
			return ns_fail(NS_BAD_DATA, "%s: is not a data set but %s (it has a %s)", path, kinds[i][1], kinds[i][0]);
	}
	return ns_fail(NS_BAD_DATA,
		       folder ? "%s: is not a data set: neither it nor a folder in it has a dataset.json; 'nightshift ingest %s --out SET' makes one "
				"of images"
			      : "%s: is not a data set: expected a folder with dataset.json, a folder of such folders, or a shard of images; "
				"'nightshift ingest %s --out SET' makes one of an archive or a list",
		       path, path);
}

static enum ns_status add_set(struct ns_look_job *k, const char *folder)
{
	if (k->count == NS_LOOK_SETS)
		return ns_fail(NS_BAD_DATA, "%s: holds more than %d data sets", k->path, NS_LOOK_SETS);
	if (strlen(folder) >= sizeof k->sets->folder)
		return ns_fail(NS_BAD_DATA, "%s: the name of the folder %.80s.. is too long", k->path, folder);
	strcpy(k->sets[k->count++].folder, folder);
	return NS_OK;
}

/* A folder without dataset.json, in which other folders have one: train, val, test. */
static enum ns_status find_splits(struct ns_look_job *k)
{
	struct ns_names names;
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	int folder, is;
	size_t i;

	NS_TRY(ns_list(k->path, &names));
	for (i = 0; i < names.count; i++) {
		const char *name = names.name[i], *end = strrchr(name, '.');

		if (*name == '.' || (end && !strcmp(end, ".partial"))) /* hidden, or work that goes on */
			continue;
		NS_GO(ns_path(path, "%s/%s", k->path, name));
		NS_GO(ns_is_dir(path, &folder));
		if (!folder)
			continue;
		NS_GO(ns_dataset_is(path, &is));
		if (is)
			NS_GO(add_set(k, name));
	}
	k->folder = 1;
out:
	ns_names_release(&names);
	return status;
}

static enum ns_status find_sets(struct ns_look_job *k)
{
	int is, folder;

	NS_TRY(ns_exists(k->path, &is));
	if (!is)
		return ns_fail(NS_IO, "%s: no such file or folder", k->path);
	NS_TRY(ns_dataset_is(k->path, &is));
	if (is)
		return add_set(k, "");
	NS_TRY(ns_is_dir(k->path, &folder));
	if (folder)
		NS_TRY(find_splits(k));
	return k->count ? NS_OK : what_else(k->path);
}

/* Collective. */
static enum ns_status open_sets(struct ns_look_job *k)
{
	char path[NS_PATH_MAX];
	int i;

	for (i = 0; i < k->count; i++) {
		struct ns_look_set *s = &k->sets[i];

		NS_TRY(ns_path(path, "%s%s%s", k->path, k->folder ? "/" : "", s->folder));
		NS_TRY(ns_dataset_open(k->job, &s->data, path, 0));
		NS_TRY(ns_dataset_verify(k->job, s->data));
		ns_job_input(k->job, "dataset", path, s->data->digest);
	}
	return NS_OK;
}

/* Rank 0: all of look.json. */
static enum ns_status gather(struct ns_look_job *k)
{
	json_t *sets = json_array(), *between = NULL, *refused = NULL, *passed = NULL;
	enum ns_status status = NS_OK;
	int i;

	for (i = 0; i < k->count; i++) {
		NS_GO(ns_look_figures(&k->sets[i]));
		json_array_append(sets, k->sets[i].figures);
	}
	NS_GO(ns_look_between(k, &between));
	NS_GO(ns_look_refused(k->path, "quarantine.jsonl", &refused));
	NS_GO(ns_look_refused(k->path, "passed.jsonl", &passed));
	k->all = NS_JSON_OBJECT({"schema", json_string("nightshift.look/1")}, {"sets", json_incref(sets)}, {"between", json_incref(between)},
				{"refused", json_incref(refused)}, {"passed", json_incref(passed)});
	status = k->all ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for what is told of it", k->path);
out:
	json_decref(sets);
	json_decref(between);
	json_decref(refused);
	json_decref(passed);
	return status;
}

/* Rank 0: the two files of --out. */
static enum ns_status write_files(const struct ns_look_job *k)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/look.json", k->job->dir));
	NS_TRY(ns_json_write(path, k->all));
	NS_TRY(ns_path(path, "%s/look.html", k->job->dir));
	return ns_look_page(k, path);
}

static enum ns_status run(struct ns_look_job *k)
{
	int publishes = ns_conf_text(k->job->conf, "out") != NULL, first = k->job->comm->rank == 0, i;
	int64_t rows = 0;

	NS_TRY(ns_job_agree(k->job, find_sets(k)));
	NS_TRY(open_sets(k));
	if (publishes)
		NS_TRY(ns_job_begin(k->job, 0));
	for (i = 0; i < k->count; i++) {
		NS_TRY(ns_look_measure(k->job, &k->sets[i]));
		rows += k->sets[i].data->rows;
	}
	NS_TRY(ns_job_agree(k->job, first ? gather(k) : NS_OK));
	if (first && ns_conf_bool(k->job->conf, "json")) {
		json_dumpf(k->all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		printf("\n");
	} else if (first) {
		ns_look_tell(k);
	}
	if (!publishes)
		return NS_OK;
	NS_TRY(ns_job_agree(k->job, first ? write_files(k) : NS_OK));
	ns_job_count(k->job, "rows", rows);
	return ns_job_publish(k->job);
}

enum ns_status ns_job_look(struct ns_job *job, int argc, char **argv)
{
	struct ns_look_job *k;
	enum ns_status status;
	int i, is;

	if (argc != 1)
		return ns_fail(NS_USAGE, "look: expected a data set, or a folder of several: nightshift look DATA [--out DIR]");
	NS_TRY(ns_onnx_file(argv[0], &is));
	if (is)
		return job->comm->rank == 0 ? ns_look_onnx(job, argv[0]) : NS_OK;
	k = calloc(1, sizeof *k);
	if (!k)
		return ns_fail(NS_NO_MEMORY, "out of memory for a look at %s", argv[0]);
	k->job = job;
	k->path = argv[0];
	status = run(k);
	for (i = 0; i < k->count; i++) {
		ns_dataset_close(k->sets[i].data);
		json_decref(k->sets[i].figures);
		free(k->sets[i].ids);
	}
	json_decref(k->all);
	free(k);
	return status;
}
