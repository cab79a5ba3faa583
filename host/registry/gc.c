/*
 * host/registry/gc.c - removes what nothing reaches.
 *
 * Nothing is removed unless everything reachable was read: an error while marking never counts as an empty answer. Promoting goes on
 * meanwhile, without locks. Whoever is about to name an object gives it a new time first, and names it then. gc sets an object
 * aside under another name, looks at its time and at all logs once more, and only then unlinks it. If the new time was given
 * before it was set aside, gc sees that and puts it back; if after, giving it fails, and the ref does not move.
 */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct sweep {
	const char *registry;
	struct ns_marks marks;
	int dry;
	uint64_t number; /* this gc's own, in the names of what it sets aside */
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
		return errno == ENOENT ? time_there(registry, now) : ns_io_error(path, "cannot stat");
	*now = st.st_mtim;
	return ns_remove_file(path);
}

/* Is the file old enough to be removed? One that is gone is not. */
static enum ns_status is_old(const struct sweep *s, const char *path, int *old, int64_t *bytes)
{
	struct stat st;

	*old = 0;
	if (lstat(path, &st))
		return errno == ENOENT ? NS_OK : ns_io_error(path, "cannot stat");
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

/* Nobody can find the object now. If it is young after all, or a log has come to name it, it is put back. */
static enum ns_status last_look(struct sweep *s, const char *path, const char *aside, const char *digest, int64_t bytes)
{
	enum ns_status status;
	int old = 0;
	int64_t size;

	status = is_old(s, aside, &old, &size);
	if (status == NS_OK)
		status = ns_marks_logs(&s->marks, s->registry, 0);
	if (status == NS_OK)
		status = ns_marks_follow(&s->marks, s->registry, 1);
	if (status != NS_OK || !old || json_object_get(s->marks.marked, digest)) {
		return status == NS_OK ? put_back(aside, path) : ((void)rename(aside, path), status);
	}
	if (unlink(aside))
		return errno == ENOENT ? NS_OK : ns_io_error(aside, "cannot remove"); /* whoever looked for it has put it back */
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
	NS_TRY(ns_path(aside, "%s.%016llx" NS_ASIDE, path, (unsigned long long)s->number));
	if (json_object_get(s->marks.marked, digest))
		return name[62] && !s->dry ? put_back(here, path) : NS_OK;
	NS_TRY(is_old(s, here, &old, &bytes));
	if (!old)
		return NS_OK;
	if (s->dry) {
		count(s, bytes);
		return NS_OK;
	}
	if (rename(here, aside)) /* under a name that this gc alone knows: so it unlinks nothing that another gc or a promotion put back */
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
	if (!ns_is_temporary(name)) /* what a killed writer left; anything else is not the registry's */
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

	NS_TRY(ns_registry_each(s->registry, sweep_one, s));
	NS_TRY(ns_path(dir, "%s/objects", s->registry));
	NS_TRY(ns_registry_each_in(dir, -1, sweep_one, s));
	NS_TRY(ns_path(dir, "%s/refs", s->registry));
	NS_TRY(ns_registry_each_in(dir, -1, sweep_one, s));
	NS_GO(ns_registry_names(s->registry, &names));
	json_array_foreach(names, i, name) {
		NS_GO(ns_path(dir, "%s/log/%s", s->registry, json_string_value(name)));
		NS_GO(ns_registry_each_in(dir, -1, sweep_one, s));
	}
out:
	json_decref(names);
	return status;
}

/* Objects without a single ref are what a lost or unmounted log leaves; gc would remove them all. */
static enum ns_status check_history(const char *registry, const json_t *marked)
{
	int64_t objects = 0;

	if (json_object_size(marked))
		return NS_OK;
	NS_TRY(ns_registry_verify_objects(registry, &objects));
	return objects ? ns_fail(NS_IO, "%s: has %lld objects, but no ref: without log/ nobody knows what is in use, and nothing is removed",
				 registry, (long long)objects)
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
		NS_GO(ns_io_error(registry, "cannot get a random name"));
	NS_GO(ns_marks_logs(&s.marks, registry, 0));
	NS_GO(ns_marks_copies(&s.marks, registry));
	NS_GO(check_history(registry, s.marks.marked));
	NS_GO(ns_marks_follow(&s.marks, registry, 1));
	status = sweep_all(&s);
out:
	ns_marks_release(&s.marks);
	return status;
}
