/*
 * host/registry/gc.c - what stands in the registry is looked at: verified, or found unreachable and removed.
 *
 * Nothing is removed unless everything reachable was read: an error while marking is never "nothing there". Promoting goes on
 * meanwhile, without locks. Whoever is about to name an object gives it a new time first, and names it then. gc sets an object
 * aside under another name, looks at its time and at all logs once more, and only then unlinks it. If the new time was given
 * before it was set aside, gc sees that and puts it back; if after, giving it fails, and the ref does not move.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/folder.h"
#include "host/registry/registry_inner.h"

#define ASIDE ".gone"

int ns_registry_is_aside(const char *name)
{
	static const char digits[] = "0123456789abcdef";

	return strspn(name, digits) == 62 && name[62] == '.' && strspn(name + 63, digits) == 16 && !strcmp(name + 79, ASIDE);
}

/* --- what is reachable --- */

/* every 64-digit string anywhere in `json`; 0 where there was no memory for it */
static int mark_json(json_t *marked, const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;
	int ok = 1;

	if (json_is_string(json) && ns_is_sha256(json_string_value(json)))
		ok = json_object_set_new(marked, json_string_value(json), json_true()) == 0;
	else if (json_is_object(json))
		json_object_foreach((json_t *)(uintptr_t)json, key, value) ok &= mark_json(marked, value);
	else if (json_is_array(json))
		json_array_foreach(json, i, value) ok &= mark_json(marked, value);
	return ok;
}

/* what the object names if it is JSON */
static enum ns_status mark_named(json_t *marked, const char *path, const char *data, size_t bytes)
{
	json_error_t error;
	json_t *json = json_loadb(data, bytes, 0, &error);
	int ok = json ? mark_json(marked, json) : json_error_code(&error) != json_error_out_of_memory;

	json_decref(json);
	return ok ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: no memory for what it names", path);
}

/* can it be JSON of ours? */
static enum ns_status begins_as_json(const char *path, int *is)
{
	enum ns_status status;
	struct stat st;
	char first = 0;
	int fd;

	NS_TRY(ns_open(&fd, path, 0));
	status = fstat(fd, &st) ? ns_io_error(path, "cannot be looked at") : st.st_size ? ns_read_at(fd, path, &first, 1, 0) : NS_OK;
	close(fd);
	*is = first == '{';
	return status;
}

/* one object that is there: whole, and what it names */
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
	return ns_fail(NS_NO_MEMORY, "no memory for what is reachable");
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
			if (status != NS_OK || !found) /* digests of data and reports are none of the registry's */
				continue;
			json_object_set_new(m->there, digest, json_true());
			status = mark_object(m->marked, path, digest, whole);
		}
		json_decref(round);
	}
	return status;
}

/* What a ref names must be there, a model's weights too; *there is 0 where they are not. */
static enum ns_status look_for(const char *registry, const char *digest, const char **what, int *there)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *json;

	*what = "that object";
	NS_TRY(ns_registry_find(registry, digest, path, there));
	if (!*there)
		return NS_OK;
	status = ns_json_read(path, &json, "nightshift.model/1");
	if (status == NS_BAD_DATA) /* no model: a ref may name anything */
		return NS_OK;
	NS_TRY(status);
	*what = "the object of its weights";
	status = ns_is_sha256(ns_json_text(json, "weights")) ? ns_registry_find(registry, ns_json_text(json, "weights"), path, there)
							     : ns_fail(NS_BAD_DATA, "%s: names no weights by their digest", path);
	json_decref(json);
	return status;
}

enum ns_status ns_registry_check(const char *registry, const char *name, const char *digest)
{
	const char *what;
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
		status = ns_fail(NS_NO_MEMORY, "%s: no memory for the log of ref '%s'", registry, name);
	json_array_foreach(log, i, entry)
		if (status == NS_OK && (all || i + 1 == n))
			status = ns_registry_check(registry, name, ns_json_text(entry, "new"));
	json_decref(log);
	return status;
}

static enum ns_status mark_logs(struct ns_marks *m, const char *registry, int all)
{
	json_t *names, *name;
	enum ns_status status;
	size_t i;

	NS_GO(ns_registry_names(registry, &names));
	json_array_foreach(names, i, name) NS_GO(mark_log(m, registry, json_string_value(name), all));
out:
	json_decref(names);
	return status;
}

/*
 * A copy without its log: the history was lost, and with it what was reachable. What a copy names is in use, too: of a log that was put back
 * from an older backup it may be all that is left.
 */
static enum ns_status mark_copies(struct ns_marks *m, const char *registry)
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

/* --- all objects --- */

typedef enum ns_status object_fn(void *context, const char *dir, const char *name, const char *digest);

/* fn for each name in objects/xx, or in a folder that holds no objects (first -1); digest: of an object, or "" where it is none */
static enum ns_status each_in(const char *dir, int first, object_fn *fn, void *context)
{
	char digest[NS_SHA256_HEX];
	struct ns_names list;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_list_if_there(dir, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++) {
		snprintf(digest, sizeof digest, "%02x%.62s", (unsigned)first & 0xff, list.name[i]);
		if (first < 0 || !ns_is_sha256(digest) || (list.name[i][62] && !ns_registry_is_aside(list.name[i])))
			*digest = 0;
		status = fn(context, dir, list.name[i], digest);
	}
	ns_names_release(&list);
	return status;
}

static enum ns_status each_object(const char *registry, object_fn *fn, void *context)
{
	char dir[NS_PATH_MAX];
	int i;

	for (i = 0; i < 256; i++) {
		NS_TRY(ns_path(dir, "%s/objects/%02x", registry, i));
		NS_TRY(each_in(dir, i, fn, context));
	}
	return NS_OK;
}

static enum ns_status verify_object(void *context, const char *dir, const char *name, const char *digest)
{
	char hex[NS_SHA256_HEX], path[NS_PATH_MAX];

	if (!*digest || name[62])
		return NS_OK;
	NS_TRY(ns_path(path, "%s/%s", dir, name));
	NS_TRY(ns_sha256_file(hex, path));
	++*(int64_t *)context;
	return strcmp(hex, digest) ? ns_fail(NS_DIGEST, "%s: its SHA-256 is %s; the object is damaged", path, hex) : NS_OK;
}

static enum ns_status verify_copy(const char *registry, const char *name)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX], *text;
	enum ns_status status = NS_OK;
	size_t bytes;

	NS_TRY(ns_registry_ref(registry, name, digest));
	NS_TRY(ns_path(path, "%s/refs/%s", registry, name));
	NS_TRY(ns_read_file(path, &text, &bytes));
	if (bytes != 65 || strncmp(text, digest, 64))
		status = ns_fail(NS_DIGEST, "%s: says %.12s, but the log says %.12s", path, text, digest);
	free(text);
	return status;
}

enum ns_status ns_registry_verify(const char *registry, int64_t *objects)
{
	json_t *names = NULL, *name;
	struct ns_marks marks;
	enum ns_status status;
	size_t i;
	int is;

	*objects = 0;
	NS_TRY(ns_marks_init(&marks));
	NS_GO(ns_is_dir(registry, &is));
	NS_GO(is ? NS_OK : ns_fail(NS_IO, "%s: is no registry", registry));
	NS_GO(each_object(registry, verify_object, objects));
	NS_GO(mark_logs(&marks, registry, 1));
	NS_GO(mark_copies(&marks, registry));
	NS_GO(ns_registry_names(registry, &names));
	json_array_foreach(names, i, name) NS_GO(verify_copy(registry, json_string_value(name)));
out:
	json_decref(names);
	ns_marks_release(&marks);
	return status;
}

/* --- garbage --- */

struct sweep {
	const char *registry;
	struct ns_marks marks;
	int dry;
	uint64_t number; /* this gc's own */
	struct timespec before;
	int64_t *removed, *bytes;
};

/* The file system's own time: a node's clock may be days ahead of the server that gives files theirs. */
static enum ns_status time_there(const char *registry, struct timespec *now)
{
	char path[NS_PATH_MAX];
	struct stat st;

	NS_TRY(ns_path(path, "%s/objects/.clock", registry));
	NS_TRY(ns_write_file(path, "", 0));
	if (lstat(path, &st)) /* another gc has just removed it: its time is as good, a moment later */
		return errno == ENOENT ? time_there(registry, now) : ns_io_error(path, "cannot be looked at");
	*now = st.st_mtim;
	return ns_remove_file(path);
}

/* is the file older than is spared? One that is gone is none of ours. */
static enum ns_status is_old(const struct sweep *s, const char *path, int *old, int64_t *bytes)
{
	struct stat st;

	*old = 0;
	if (lstat(path, &st))
		return errno == ENOENT ? NS_OK : ns_io_error(path, "cannot be looked at");
	/* what was written within the same tick is not older */
	*old = st.st_mtim.tv_sec < s->before.tv_sec || (st.st_mtim.tv_sec == s->before.tv_sec && st.st_mtim.tv_nsec < s->before.tv_nsec);
	*bytes = (int64_t)st.st_size;
	return NS_OK;
}

static void count(struct sweep *s, int64_t bytes)
{
	++*s->removed;
	*s->bytes += bytes;
}

static enum ns_status put_back(const char *here, const char *path)
{
	return rename(here, path) && errno != ENOENT ? ns_io_error(path, "cannot be put back") : NS_OK;
}

/* Nobody can find it now. Is it young after all, or has a log come to name it? Then it goes back. */
static enum ns_status last_look(struct sweep *s, const char *path, const char *aside, const char *digest, int64_t bytes)
{
	enum ns_status status;
	int old = 0;
	int64_t size;

	status = is_old(s, aside, &old, &size);
	if (status == NS_OK)
		status = mark_logs(&s->marks, s->registry, 0);
	if (status == NS_OK)
		status = ns_marks_follow(&s->marks, s->registry, 1);
	if (status != NS_OK || !old || json_object_get(s->marks.marked, digest)) {
		return status == NS_OK ? put_back(aside, path) : ((void)rename(aside, path), status);
	}
	if (unlink(aside))
		return errno == ENOENT ? NS_OK : ns_io_error(aside, "cannot remove"); /* whoever looked for it took it back */
	count(s, bytes);
	return NS_OK;
}

/* `name`: an object, or what a gc that was killed has set aside */
static enum ns_status sweep_object(struct sweep *s, const char *dir, const char *name, const char *digest)
{
	char path[NS_PATH_MAX], aside[NS_PATH_MAX], here[NS_PATH_MAX];
	int64_t bytes;
	int old;

	NS_TRY(ns_path(here, "%s/%s", dir, name));
	NS_TRY(ns_path(path, "%s/%.62s", dir, name));
	NS_TRY(ns_path(aside, "%s.%016llx" ASIDE, path, (unsigned long long)s->number));
	if (json_object_get(s->marks.marked, digest))
		return name[62] && !s->dry ? put_back(here, path) : NS_OK;
	NS_TRY(is_old(s, here, &old, &bytes));
	if (!old)
		return NS_OK;
	if (s->dry) {
		count(s, bytes);
		return NS_OK;
	}
	if (rename(here, aside)) /* under a name that this gc alone knows: it unlinks nothing that another, or a promotion, took back */
		return errno == ENOENT ? NS_OK : ns_io_error(here, "cannot remove");
	return last_look(s, path, aside, digest, bytes);
}

static enum ns_status sweep_one(void *context, const char *dir, const char *name, const char *digest)
{
	struct sweep *s = context;
	char path[NS_PATH_MAX];
	int64_t bytes;
	int old;

	if (*digest)
		return sweep_object(s, dir, name, digest);
	if (!ns_is_temporary(name)) /* what a writer that was killed left; anything else is somebody's */
		return NS_OK;
	NS_TRY(ns_path(path, "%s/%s", dir, name));
	NS_TRY(is_old(s, path, &old, &bytes));
	if (!old)
		return NS_OK;
	count(s, bytes);
	return s->dry ? NS_OK : ns_remove_file(path);
}

static enum ns_status sweep_all(struct sweep *s)
{
	char dir[NS_PATH_MAX];
	json_t *names, *name;
	enum ns_status status;
	size_t i;

	NS_TRY(each_object(s->registry, sweep_one, s));
	NS_TRY(ns_path(dir, "%s/objects", s->registry));
	NS_TRY(each_in(dir, -1, sweep_one, s));
	NS_TRY(ns_path(dir, "%s/refs", s->registry));
	NS_TRY(each_in(dir, -1, sweep_one, s));
	NS_GO(ns_registry_names(s->registry, &names));
	json_array_foreach(names, i, name) {
		NS_GO(ns_path(dir, "%s/log/%s", s->registry, json_string_value(name)));
		NS_GO(each_in(dir, -1, sweep_one, s));
	}
out:
	json_decref(names);
	return status;
}

/* objects, and not one ref: a log that was lost, or is not mounted, looks like that, and then all of it would go */
static enum ns_status check_history(const char *registry, const json_t *marked)
{
	int64_t objects = 0;

	if (json_object_size(marked))
		return NS_OK;
	NS_TRY(each_object(registry, verify_object, &objects));
	return objects ? ns_fail(NS_IO, "%s: has %lld objects, but no ref: without log/ nobody knows what is in use, and nothing is removed", registry,
				 (long long)objects)
		       : NS_OK;
}

enum ns_status ns_registry_gc(const char *registry, double hours, int dry, int64_t *removed, int64_t *bytes)
{
	struct sweep s = {.registry = registry, .dry = dry, .removed = removed, .bytes = bytes, .before = {time(NULL), 0}};
	char path[NS_PATH_MAX];
	enum ns_status status;
	int is;

	*removed = *bytes = 0;
	NS_TRY(ns_path(path, "%s/objects", registry));
	NS_TRY(ns_is_dir(path, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_marks_init(&s.marks));
	NS_GO(dry ? NS_OK : time_there(registry, &s.before));
	s.before.tv_sec -= (time_t)(3600 * hours);
	if (getrandom(&s.number, sizeof s.number, 0) != sizeof s.number)
		NS_GO(ns_io_error(registry, "no random name"));
	NS_GO(mark_logs(&s.marks, registry, 0));
	NS_GO(mark_copies(&s.marks, registry));
	NS_GO(check_history(registry, s.marks.marked));
	NS_GO(ns_marks_follow(&s.marks, registry, 1));
	status = sweep_all(&s);
out:
	ns_marks_release(&s.marks);
	return status;
}
