/* host/registry/marks.c - what is reachable: all that logs, copies of refs and objects name by a digest. */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Marks every 64-digit string anywhere in `json`; 0 where memory ran out. */
static int mark_json(json_t *marked, const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;
	int ok = 1;

	if (json_is_string(json) && ns_is_sha256(json_string_value(json)))
		ok = json_object_set_new(marked, json_string_value(json), json_true()) == 0;
	else if (json_is_object(json))
		NS_JSON_EACH(json, key, value)
			ok &= mark_json(marked, value);
	else if (json_is_array(json))
		json_array_foreach(json, i, value)
			ok &= mark_json(marked, value);
	return ok;
}

/* Marks what the object names if it is JSON. */
static enum ns_status mark_named(json_t *marked, const char *path, const char *data, size_t bytes)
{
	json_error_t error;
	json_t *json = json_loadb(data, bytes, 0, &error);
	int ok = json ? mark_json(marked, json) : json_error_code(&error) != json_error_out_of_memory;

	json_decref(json);
	return ok ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for the digests that it names", path);
}

/* Can it be JSON of ours? */
static enum ns_status begins_as_json(const char *path, int *is)
{
	enum ns_status status;
	struct stat st;
	char first = 0;
	int fd;

	NS_TRY(ns_open(&fd, path, 0));
	status = fstat(fd, &st) ? ns_io_error(path, "cannot stat") : st.st_size ? ns_read_at(fd, path, &first, 1, 0) : NS_OK;
	close(fd);
	*is = first == '{';
	return status;
}

/* Verifies one object that exists, and marks what it names. */
static enum ns_status mark_object(json_t *marked, const char *path, const char *digest, int whole)
{
	char hex[NS_SHA256_HEX], *data;
	enum ns_status status = NS_OK;
	size_t bytes;
	int is = 1;

	if (!whole)
		NS_TRY(begins_as_json(path, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_read_file(path, &data, &bytes));
	ns_sha256(hex, data, bytes);
	if (strcmp(hex, digest))
		status = ns_fail(NS_DIGEST, "%s: its SHA-256 is %s; the object is damaged", path, hex);
	else
		status = mark_named(marked, path, data, bytes);
	free(data);
	return status;
}

enum ns_status ns_marks_init(struct ns_marks *m)
{
	*m = (struct ns_marks){json_object(), json_object(), json_object(), json_object()};
	if (m->marked && m->done && m->there && m->read)
		return NS_OK;
	ns_marks_release(m);
	return ns_fail(NS_NO_MEMORY, "out of memory for the reachable objects");
}

void ns_marks_release(struct ns_marks *m)
{
	json_decref(m->marked);
	json_decref(m->done);
	json_decref(m->there);
	json_decref(m->read);
}

void ns_marks_add(struct ns_marks *m, const char *digest)
{
	json_object_set_new(m->marked, digest, json_true());
}

enum ns_status ns_marks_follow(struct ns_marks *m, const char *registry, int whole)
{
	enum ns_status status = NS_OK;
	json_t *round, *flag;
	const char *digest;
	int found;

	while (status == NS_OK && json_object_size(m->done) < json_object_size(m->marked)) {
		round = json_copy(m->marked);
		json_object_foreach(round, digest, flag) {
			char path[NS_PATH_MAX];

			if (status != NS_OK || json_object_get(m->done, digest))
				continue;
			json_object_set_new(m->done, digest, json_true());
			status = ns_registry_find(registry, digest, path, &found);
			if (status != NS_OK || !found) /* digests of data and reports are not of objects */
				continue;
			json_object_set_new(m->there, digest, json_true());
			status = mark_object(m->marked, path, digest, whole);
		}
		json_decref(round);
	}
	return status;
}

/* The object that a ref names must exist, of a release its model's too, of a model that of its weights; *there is 0 where one does not. */
static enum ns_status look_for(const char *registry, const char *digest, const char **what, int *there)
{
	char path[NS_PATH_MAX], next[NS_SHA256_HEX];
	enum ns_status status;
	const char *key;
	json_t *json;
	int release;

	NS_TRY(ns_registry_find(registry, digest, path, there));
	if (!*there)
		return NS_OK;
	status = ns_json_read(path, &json, NULL);
	if (status == NS_BAD_DATA) /* a ref may name anything */
		return NS_OK;
	NS_TRY(status);
	release = !strcmp(ns_json_text(json, "schema"), "nightshift.release/1");
	key = release ? "model" : strcmp(ns_json_text(json, "schema"), "nightshift.model/1") ? NULL : "weights";
	snprintf(next, sizeof next, "%s", key ? ns_json_text(json, key) : "");
	json_decref(json);
	if (!key)
		return NS_OK;
	if (!ns_is_sha256(next))
		return ns_fail(NS_BAD_DATA, "%s: names no %s by a digest", path, key);
	*what = release ? "the object of its model" : "the object of its weights";
	return release ? look_for(registry, next, what, there) : ns_registry_find(registry, next, path, there);
}

enum ns_status ns_registry_check(const char *registry, const char *name, const char *digest)
{
	const char *what = "that object";
	int there;

	NS_TRY(look_for(registry, digest, &what, &there));
	return there ? NS_OK : ns_fail(NS_IO, "%s: ref '%s' names %.12s, but %s is not there", registry, name, digest, what);
}

/* Of one ref, the entries since the last look. all: what any of them names must be there, not only what the newest does. */
static enum ns_status mark_log(struct ns_marks *m, const char *registry, const char *name, int all)
{
	json_t *log, *entry;
	enum ns_status status = NS_OK;
	size_t i, seen = (size_t)json_integer_value(json_object_get(m->read, name)), n;

	NS_TRY(ns_registry_log_from(registry, name, (int)seen + 1, &log));
	n = json_array_size(log);
	if (!mark_json(m->marked, log) || json_object_set_new(m->read, name, json_integer((json_int_t)(seen + n))))
		status = ns_fail(NS_NO_MEMORY, "%s: out of memory for the log of ref '%s'", registry, name);
	json_array_foreach(log, i, entry)
		if (status == NS_OK && (all || i + 1 == n))
			status = ns_registry_check(registry, name, ns_json_text(entry, "new"));
	json_decref(log);
	return status;
}

enum ns_status ns_marks_logs(struct ns_marks *m, const char *registry, int all)
{
	json_t *names, *name;
	enum ns_status status;
	size_t i;

	NS_GO(ns_registry_names(registry, &names));
	json_array_foreach(names, i, name)
		NS_GO(mark_log(m, registry, json_string_value(name), all));
out:
	json_decref(names);
	return status;
}

/*
 * A copy without its log means that the history was lost, and with it what was reachable. What a copy names is in use, too: where the log was
 * restored from an older backup, the copy may be all that is left of later moves.
 */
enum ns_status ns_marks_copies(struct ns_marks *m, const char *registry)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX], *text;
	struct ns_names list;
	enum ns_status status;
	size_t i, bytes;

	NS_TRY(ns_path(path, "%s/refs", registry));
	NS_TRY(ns_list_if_there(path, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++) {
		if (list.name[i][0] == '.' || ns_is_temporary(list.name[i]))
			continue;
		NS_GO(ns_path(path, "%s/refs/%s", registry, list.name[i]));
		status = ns_registry_ref(registry, list.name[i], digest);
		if (status != NS_OK)
			NS_GO(ns_fail_in(status, "%s is there, but its log is not", path));
		NS_GO(ns_read_file(path, &text, &bytes));
		text[strcspn(text, "\n")] = 0;
		if (ns_is_sha256(text))
			ns_marks_add(m, text);
		free(text);
	}
out:
	ns_names_release(&list);
	return status;
}
