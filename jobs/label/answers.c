/*
 * jobs/label/answers.c - what people answered, against the queue that asked: each id, class and double answer is checked, then all answers become one object
 * of the registry, or none of them does.
 */
#include "jobs/label/label_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"

#define TRIES 100 /* of a swap that others win */

struct intake {
	struct ns_job *job;
	const char *queue_path, *registry;
	json_t *queue, *asked; /* asked: id -> row of the queue */
	struct ns_given_list given;
	int64_t answered, passed, repeated;
};

static enum ns_status open_queue(struct intake *t)
{
	char path[NS_PATH_MAX];
	json_t *row;
	size_t i;

	NS_TRY(ns_path(path, "%s/queue.json", t->queue_path));
	NS_TRY(ns_json_read(path, &t->queue, NS_QUEUE_SCHEMA));
	NS_TRY(ns_sha256_file(t->given.queue, path));
	t->asked = json_object();
	json_array_foreach(json_object_get(t->queue, "rows"), i, row)
		json_object_set(t->asked, ns_json_text(row, "id"), row);
	return NS_OK;
}

static enum ns_status read_files(struct intake *t, const char *const *files, int count, const char *by)
{
	int i;

	for (i = 0; i < count; i++)
		NS_TRY(ns_given_read(&t->given, files[i], by));
	return NS_OK;
}

static int is_class(const struct intake *t, const char *label)
{
	const json_t *class;
	size_t i;

	json_array_foreach(json_object_get(t->queue, "classes"), i, class)
		if (json_is_string(class) && !strcmp(json_string_value(class), label))
			return 1;
	return 0;
}

static enum ns_status check_one(const struct intake *t, const struct ns_given *g)
{
	char id[24];

	snprintf(id, sizeof id, "%016llx", (unsigned long long)g->id);
	if (!json_object_get(t->asked, id))
		return ns_fail(NS_BAD_DATA, "%s: line %lld: image %s was not asked for by %s/queue.json (of data set %.12s)", g->file,
			       (long long)g->line, id, t->queue_path, ns_json_text(t->queue, "dataset"));
	if (*g->label && !is_class(t, g->label))
		return ns_fail(NS_BAD_DATA, "%s: line %lld: image %s: '%.80s' is none of the classes of %s/queue.json", g->file, (long long)g->line,
			       id, g->label, t->queue_path);
	return NS_OK;
}

/* The answer of the same person to the same image, before this one; NULL: none. seen: "id by" -> number of the answer */
static const struct ns_given *before(struct intake *t, json_t *seen, int64_t at)
{
	const struct ns_given *g = &t->given.of[at];
	char key[192];
	const json_t *found;

	snprintf(key, sizeof key, "%016llx %.160s", (unsigned long long)g->id, g->by);
	found = json_object_get(seen, key);
	if (found)
		return &t->given.of[json_integer_value(found)];
	json_object_set_new_nocheck(seen, key, json_integer((json_int_t)at));
	return NULL;
}

/* How much more a drawn row stands for than the others of its queue: by the chance with which it was drawn. 1 where all had the same. */
static double weight_of(const struct intake *t, const json_t *row)
{
	double chance = ns_json_number(row, "chance", 0), mean = ns_json_number(t->queue, "chance", 0);

	return chance > 0 && chance <= 1 && mean > 0 ? mean / chance : 1;
}

/* The rows of the object. Who answers an image twice, and not the same, has to say which. */
static enum ns_status make_rows(struct intake *t, json_t *rows)
{
	json_t *seen = json_object();
	enum ns_status status = NS_OK;
	int64_t i;

	for (i = 0; i < t->given.count && status == NS_OK; i++) {
		const struct ns_given *g = &t->given.of[i], *old;
		char id[24];

		status = check_one(t, g);
		if (status != NS_OK)
			break;
		snprintf(id, sizeof id, "%016llx", (unsigned long long)g->id);
		old = before(t, seen, i);
		if (old && strcmp(old->label, g->label))
			status = ns_fail(NS_BAD_DATA, "%s: line %lld: %s says '%.80s' of image %s, and '%.80s' in line %lld of %s", g->file,
					 (long long)g->line, g->by, g->label, id, old->label, (long long)old->line, old->file);
		t->repeated += old != NULL;
		t->passed += !old && !*g->label;
		if (old || !*g->label || status != NS_OK)
			continue;
		json_array_append_new(
			rows, NS_JSON_OBJECT({"id", json_string(id)}, {"label", ns_json_string(g->label)}, {"by", ns_json_string(g->by)},
					     {"when", ns_json_string(g->when)},
					     {"measures", json_boolean(!strcmp(ns_json_text(json_object_get(t->asked, id), "why"), "random"))},
					     {"weight", json_real(weight_of(t, json_object_get(t->asked, id)))}));
		t->answered++;
	}
	json_decref(seen);
	return status;
}

/* The newest answers, "": there are none yet; *same: they are these, and who imports them again was killed, or did not know. */
static enum ns_status newest(const struct intake *t, const char *queue, json_t *rows, char digest[NS_SHA256_HEX], int *same)
{
	char path[NS_PATH_MAX];
	json_t *old;

	*same = 0;
	NS_TRY(ns_registry_ref_if_there(t->registry, "labels", digest));
	if (!*digest)
		return NS_OK;
	NS_TRY(ns_registry_object(t->registry, digest, path));
	NS_TRY(ns_json_read(path, &old, "nightshift.answers/1"));
	*same = !strcmp(ns_json_text(old, "queue"), queue) && json_equal(json_object_get(old, "rows"), rows);
	json_decref(old);
	return NS_OK;
}

/* Each object names the one that it follows: answers that are given, changed and given again are three, in their order. */
static enum ns_status try_put(struct intake *t, const char *queue, json_t *rows)
{
	char who[NS_WHO], after[NS_SHA256_HEX], digest[NS_SHA256_HEX], warning[512], why[96];
	json_t *all;
	enum ns_status status;
	int same;

	NS_TRY(newest(t, queue, rows, after, &same));
	if (same) /* who was killed or failed after the move left an old copy of the ref */
		return ns_registry_copy(t->registry, "labels");
	all = NS_JSON_OBJECT({"schema", json_string("nightshift.answers/1")}, {"after", json_string(after)}, {"queue", json_string(queue)},
			     {"dataset", json_string(ns_json_text(t->queue, "dataset"))}, {"who", ns_json_string(ns_who(who))},
			     {"rows", json_incref(rows)});
	status = ns_registry_put_json(t->registry, all, digest);
	json_decref(all);
	NS_TRY(status);
	snprintf(why, sizeof why, "%lld answers", (long long)t->answered);
	NS_TRY(ns_registry_move(t->registry, "labels", digest, after, why, NULL, warning));
	if (*warning)
		ns_log_warn(t->job->log, "%s", warning);
	return NS_OK;
}

static enum ns_status put(struct intake *t, json_t *rows)
{
	char path[NS_PATH_MAX], queue[NS_SHA256_HEX];
	enum ns_status status = NS_REFUSED;
	int tries;

	NS_TRY(ns_mkdirs(t->registry));
	NS_TRY(ns_path(path, "%s/queue.json", t->queue_path));
	NS_TRY(ns_registry_put(t->registry, path, queue));
	for (tries = 0; status == NS_REFUSED && tries < TRIES; tries++) /* others import, too */
		status = try_put(t, queue, rows);
	return status;
}

/* What people disagree on is kept as such, and asked for again. */
static enum ns_status tell(struct intake *t)
{
	struct ns_labels l;
	int64_t i, disputed = 0;

	NS_TRY(ns_labels_read(&l, t->registry, NULL));
	for (i = 0; i < l.count; i++) {
		int differ, measures;

		if (i && l.of[i].id == l.of[i - 1].id)
			continue;
		(void)ns_labels_of(&l, l.of[i].id, &differ, &measures);
		if (!differ)
			continue;
		if (!disputed++)
			ns_log_warn(t->job->log, "image %016llx: people disagree; it is asked for again", (unsigned long long)l.of[i].id);
	}
	ns_labels_release(&l);
	printf("%lld answers taken, %lld images passed over, %lld answers given twice; people disagree on %lld images of this registry\n",
	       (long long)t->answered, (long long)t->passed, (long long)t->repeated, (long long)disputed);
	return NS_OK;
}

enum ns_status ns_label_take(struct ns_job *job, const char *queue, const char *const *files, int count, const char *by, const char *registry)
{
	struct intake t = {.job = job, .queue_path = queue, .registry = registry};
	json_t *rows = json_array();
	enum ns_status status;

	NS_GO(open_queue(&t));
	NS_GO(read_files(&t, files, count, by));
	NS_GO(make_rows(&t, rows));
	if (t.answered)
		NS_GO(put(&t, rows));
	status = tell(&t);
out:
	ns_given_release(&t.given);
	json_decref(rows);
	json_decref(t.queue);
	json_decref(t.asked);
	return status;
}
