#define _GNU_SOURCE
#include "host/registry/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/name.h"

static enum ns_status check_name(const char *name)
{
	return ns_is_name(name) ? NS_OK : ns_fail(NS_USAGE, "'%s' is no name for a ref: letters, digits, - _ . are, the first no - or .", name);
}

static int is_digest(const char *text)
{
	return strspn(text, "0123456789abcdef") == strlen(text) && strlen(text) <= 64;
}

enum ns_status ns_registry_put(const char *registry, const char *file, char digest[NS_SHA256_HEX])
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	enum ns_status status;
	char *data;
	size_t bytes;

	NS_TRY(ns_read_file(file, &data, &bytes));
	ns_sha256(digest, data, bytes);
	NS_GO(ns_path(dir, "%s/objects/%.2s", registry, digest));
	NS_GO(ns_path(path, "%s/%s", dir, digest + 2));
	if (ns_path_exists(path)) {
		(void)utimensat(AT_FDCWD, path, NULL, 0); /* in use again: young for gc */
		goto out;
	}
	NS_GO(ns_mkdirs(dir));
	NS_GO(ns_write_file(path, data, bytes));
	chmod(path, 0444);
	status = ns_sync_dir(dir);
out:
	free(data);
	return status;
}

enum ns_status ns_registry_object(const char *registry, const char *digest, char path[NS_PATH_MAX])
{
	char dir[NS_PATH_MAX];
	struct dirent *e;
	int found = 0;
	DIR *d;

	if (!is_digest(digest) || strlen(digest) < 8)
		return ns_fail(NS_USAGE, "'%s' is no digest (at least 8 of its 64 hexadecimal digits)", digest);
	NS_TRY(ns_path(dir, "%s/objects/%.2s", registry, digest));
	d = opendir(dir);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, digest + 2, strlen(digest) - 2) && strlen(e->d_name) == 62) {
			found++;
			if (ns_path(path, "%s/%s", dir, e->d_name) != NS_OK)
				found = 99;
		}
	if (d)
		closedir(d);
	if (found > 1)
		return ns_fail(NS_USAGE, "digest %s is not unique in %s", digest, registry);
	return found ? NS_OK : ns_fail(NS_IO, "%s: has no object %s", registry, digest);
}

/*
 * The highest number in the log of `name`, 0 where there is none. A folder that cannot be read is an error, and no empty log:
 * what was production yesterday must not be taken for what is.
 */
static enum ns_status newest(const char *registry, const char *name, int *high)
{
	char dir[NS_PATH_MAX];
	struct dirent *e;
	int code;
	DIR *d;

	*high = 0;
	NS_TRY(ns_path(dir, "%s/log/%s", registry, name));
	d = opendir(dir);
	if (!d && errno != ENOENT)
		return ns_fail(NS_IO, "%s: cannot be read: %s", dir, strerror(errno));
	for (errno = 0; d && (e = readdir(d)); errno = 0) {
		char *end;
		long n = strtol(e->d_name, &end, 10);

		if (end != e->d_name && !strcmp(end, ".json") && n > *high)
			*high = (int)n;
	}
	code = d ? errno : 0;
	if (d)
		closedir(d);
	return code ? ns_fail(NS_IO, "%s: cannot be read: %s", dir, strerror(code)) : NS_OK;
}

static enum ns_status read_entry(const char *registry, const char *name, int number, json_t **entry)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/log/%s/%06d.json", registry, name, number));
	return ns_json_read(path, entry, "nightshift.ref/1");
}

enum ns_status ns_registry_ref(const char *registry, const char *name, char digest[NS_SHA256_HEX])
{
	int n;
	json_t *entry;

	NS_TRY(check_name(name));
	NS_TRY(newest(registry, name, &n));
	if (!n)
		return ns_fail(NS_IO, "%s: has no ref '%s'", registry, name);
	NS_TRY(read_entry(registry, name, n, &entry));
	snprintf(digest, NS_SHA256_HEX, "%s", ns_json_text(entry, "new"));
	json_decref(entry);
	return NS_OK;
}

/* put `text` at number `n`, if that number is free: *won says */
static enum ns_status try_link(const char *dir, int n, const char *text, int *won)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/%06d.json", dir, n));
	NS_TRY(ns_link_file(path, text, strlen(text), won));
	return ns_sync_dir(dir);
}

/* Whoever writes last has looked at the log after it: a copy that is older than the log never stays. */
static enum ns_status write_copy(const char *registry, const char *name)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX], now[NS_SHA256_HEX], line[NS_SHA256_HEX + 1];

	NS_TRY(ns_path(path, "%s/refs", registry));
	NS_TRY(ns_mkdirs(path));
	NS_TRY(ns_path(path, "%s/refs/%s", registry, name));
	NS_TRY(ns_registry_ref(registry, name, now));
	do {
		memcpy(digest, now, sizeof digest);
		snprintf(line, sizeof line, "%s\n", digest);
		NS_TRY(ns_write_file(path, line, strlen(line)));
		NS_TRY(ns_registry_ref(registry, name, now));
	} while (strcmp(digest, now));
	return NS_OK;
}

enum ns_status ns_registry_move(const char *registry, const char *name, const char *digest, const char *expected,
				const char *why, const char *evidence)
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX], old[NS_SHA256_HEX];
	int won = 0, tries;

	NS_TRY(check_name(name));
	NS_TRY(ns_registry_object(registry, digest, path));
	NS_TRY(ns_path(dir, "%s/log/%s", registry, name));
	NS_TRY(ns_mkdirs(dir));
	for (tries = 0; !won && tries < 1000; tries++) {
		enum ns_status status;
		json_t *entry;
		char *text;
		int n;

		NS_TRY(newest(registry, name, &n));
		old[0] = 0;
		if (n)
			NS_TRY(ns_registry_ref(registry, name, old));
		if (!strcmp(old, digest))
			break; /* it is there: whoever was killed after the link has only the copy left to write */
		if (expected && strcmp(old, expected))
			return ns_fail(NS_REFUSED, "%s: ref '%s' is %.12s, but %.12s was expected; somebody else moved it", registry,
				       name, *old ? old : "new", *expected ? expected : "new");
		entry = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "schema", "nightshift.ref/1", "ref", name, "time",
				  (json_int_t)time(NULL), "old", old, "new", digest, "who", getenv("USER") ? getenv("USER") : "",
				  "why", why ? why : "", "evidence", evidence ? evidence : "");
		text = entry ? json_dumps(entry, JSON_INDENT(1)) : NULL;
		json_decref(entry);
		status = text ? try_link(dir, n + 1, text, &won) : ns_fail(NS_NO_MEMORY, "no memory");
		free(text);
		NS_TRY(status);
	}
	if (!won && tries == 1000)
		return ns_fail(NS_IO, "%s: ref '%s' is moved by too many at once", registry, name);
	return write_copy(registry, name);
}

enum ns_status ns_registry_copy(const char *registry, const char *name)
{
	NS_TRY(check_name(name));
	return write_copy(registry, name);
}

enum ns_status ns_registry_log(const char *registry, const char *name, json_t **log)
{
	int n, i;

	NS_TRY(check_name(name));
	NS_TRY(newest(registry, name, &n));
	if (!n)
		return ns_fail(NS_IO, "%s: has no ref '%s'", registry, name);
	*log = json_array();
	for (i = 1; i <= n; i++) {
		json_t *entry;

		NS_TRY(read_entry(registry, name, i, &entry));
		json_array_append_new(*log, entry);
	}
	return NS_OK;
}

/*
 * The log read as a stack: an entry that names the digest below the top goes back to it, any other is put on top. So a second
 * rollback goes further back, not forward again.
 */
enum ns_status ns_registry_previous(const char *registry, const char *name, char digest[NS_SHA256_HEX])
{
	json_t *log, *entry;
	const char **stack;
	size_t i, top = 0;

	NS_TRY(ns_registry_log(registry, name, &log));
	stack = calloc(json_array_size(log) + 1, sizeof *stack);
	*digest = 0;
	json_array_foreach(log, i, entry) {
		const char *now = ns_json_text(entry, "new");

		if (!stack)
			break;
		if (top > 1 && !strcmp(stack[top - 2], now))
			top--;
		else
			stack[top++] = now;
	}
	if (top > 1)
		snprintf(digest, NS_SHA256_HEX, "%s", stack[top - 2]);
	free(stack);
	json_decref(log);
	return *digest ? NS_OK : ns_fail(NS_USAGE, "ref '%s' has no digest before this one", name);
}

enum ns_status ns_registry_names(const char *registry, json_t **names)
{
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	struct dirent **list;
	int n, i;

	*names = json_array();
	NS_TRY(ns_path(path, "%s/log", registry));
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		int entries = 0; /* who was killed before the first link left a folder, and no ref */

		if (list[i]->d_name[0] != '.' && status == NS_OK)
			status = newest(registry, list[i]->d_name, &entries);
		if (entries)
			json_array_append_new(*names, json_string(list[i]->d_name));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return status;
}

typedef enum ns_status object_fn(void *context, const char *path, const char *digest);

static enum ns_status each_object(const char *registry, object_fn *fn, void *context)
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX], digest[256];
	enum ns_status status = NS_OK;
	int i;

	for (i = 0; i < 256 && status == NS_OK; i++) {
		struct dirent *e;
		DIR *d;

		NS_TRY(ns_path(dir, "%s/objects/%02x", registry, i));
		d = opendir(dir);
		while (d && status == NS_OK && (e = readdir(d))) {
			if (e->d_name[0] == '.' || strlen(e->d_name) != 62)
				continue;
			snprintf(digest, sizeof digest, "%02x%.200s", i, e->d_name);
			status = ns_path(path, "%s/%s", dir, e->d_name);
			if (status == NS_OK)
				status = fn(context, path, digest);
		}
		if (d)
			closedir(d);
	}
	return status;
}

static enum ns_status verify_object(void *context, const char *path, const char *digest)
{
	char hex[NS_SHA256_HEX];

	NS_TRY(ns_sha256_file(hex, path));
	++*(int64_t *)context;
	return strcmp(hex, digest) ? ns_fail(NS_DIGEST, "%s: its SHA-256 is %s; the object is damaged", path, hex) : NS_OK;
}

enum ns_status ns_registry_verify(const char *registry, int64_t *objects)
{
	enum ns_status status;
	json_t *names, *name;
	size_t i;

	*objects = 0;
	if (!ns_path_is_dir(registry))
		return ns_fail(NS_IO, "%s: is no registry", registry);
	NS_TRY(each_object(registry, verify_object, objects));
	NS_TRY(ns_registry_names(registry, &names));
	status = NS_OK;
	json_array_foreach(names, i, name) {
		char path[NS_PATH_MAX], digest[NS_SHA256_HEX];
		char *text;
		size_t bytes;

		NS_GO(ns_registry_ref(registry, json_string_value(name), digest));
		NS_GO(ns_registry_object(registry, digest, path));
		NS_GO(ns_path(path, "%s/refs/%s", registry, json_string_value(name)));
		NS_GO(ns_read_file(path, &text, &bytes));
		if (bytes != 65 || strncmp(text, digest, 64))
			status = ns_fail(NS_DIGEST, "%s: says %.12s, but the log says %.12s", path, text, digest);
		free(text);
		if (status != NS_OK)
			goto out;
	}
out:
	json_decref(names);
	return status;
}

/* --- garbage --- */

/* every 64-digit string anywhere in `json` */
static void mark_json(json_t *marked, const json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_string(json) && json_string_length(json) == 64 && is_digest(json_string_value(json)))
		json_object_set_new(marked, json_string_value(json), json_true());
	else if (json_is_object(json))
		json_object_foreach((json_t *)(uintptr_t)json, key, value) mark_json(marked, value);
	else if (json_is_array(json))
		json_array_foreach(json, i, value) mark_json(marked, value);
}

static void mark_reachable(const char *registry, json_t *marked)
{
	json_t *done = json_object();
	const char *digest;
	json_t *flag;
	int more = 1;

	while (more) {
		json_t *round = json_copy(marked);

		more = 0;
		json_object_foreach(round, digest, flag) {
			char path[NS_PATH_MAX];
			json_t *json;

			if (json_object_get(done, digest))
				continue;
			json_object_set_new(done, digest, json_true());
			more = 1;
			if (ns_registry_object(registry, digest, path) == NS_OK &&
			    (json = json_load_file(path, 0, NULL)) != NULL) {
				mark_json(marked, json);
				json_decref(json);
			}
		}
		json_decref(round);
	}
	json_decref(done);
}

struct sweep {
	json_t *marked;
	int dry;
	time_t before;
	int64_t *removed, *bytes;
};

static enum ns_status sweep_file(struct sweep *s, const char *path)
{
	struct stat st;

	if (stat(path, &st) || st.st_mtime > s->before)
		return NS_OK;
	++*s->removed;
	*s->bytes += (int64_t)st.st_size;
	if (!s->dry && unlink(path))
		return ns_fail(NS_IO, "%s: cannot remove: %s", path, strerror(errno));
	return NS_OK;
}

static enum ns_status sweep_object(void *context, const char *path, const char *digest)
{
	struct sweep *s = context;

	return json_object_get(s->marked, digest) ? NS_OK : sweep_file(s, path);
}

/* what a writer that was killed left under a temporary name */
static enum ns_status sweep_temporary(struct sweep *s, const char *registry, const char *folder, const char *name)
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	struct dirent *e;
	DIR *d;

	NS_TRY(ns_path(dir, "%s/%s/%s", registry, folder, name));
	d = opendir(dir);
	while (d && status == NS_OK && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (len < 4 || strcmp(e->d_name + len - 4, ".tmp"))
			continue;
		status = ns_path(path, "%s/%s", dir, e->d_name);
		if (status == NS_OK)
			status = sweep_file(s, path);
	}
	if (d)
		closedir(d);
	return status;
}

enum ns_status ns_registry_gc(const char *registry, double hours, int dry, int64_t *removed, int64_t *bytes)
{
	struct sweep s = {json_object(), dry, time(NULL) - (time_t)(3600 * hours), removed, bytes};
	enum ns_status status;
	char folder[3];
	int f;
	json_t *names, *name, *log;
	size_t i;

	*removed = *bytes = 0;
	NS_TRY(ns_registry_names(registry, &names));
	status = NS_OK;
	json_array_foreach(names, i, name) {
		NS_GO(ns_registry_log(registry, json_string_value(name), &log));
		mark_json(s.marked, log);
		json_decref(log);
	}
	mark_reachable(registry, s.marked);
	NS_GO(each_object(registry, sweep_object, &s));
	json_array_foreach(names, i, name) NS_GO(sweep_temporary(&s, registry, "log", json_string_value(name)));
	NS_GO(sweep_temporary(&s, registry, "refs", ""));
	for (f = 0; f < 256 && status == NS_OK; f++) {
		snprintf(folder, sizeof folder, "%02x", f);
		status = sweep_temporary(&s, registry, "objects", folder);
	}
out:
	json_decref(names);
	json_decref(s.marked);
	return status;
}
