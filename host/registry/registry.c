#define _GNU_SOURCE
#include "host/registry/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/folder.h"
#include "host/name.h"
#include "host/registry/registry_inner.h"

static enum ns_status check_name(const char *name)
{
	return ns_is_name(name) ? NS_OK : ns_fail(NS_USAGE, "'%s' is no name for a ref: letters, digits, - _ . are, the first no - or .", name);
}

/* --- objects --- */

static int is_prefix(const char *text)
{
	size_t n = strlen(text);

	return n >= 8 && n <= 64 && strspn(text, "0123456789abcdef") == n;
}

/* Is what lies there the object that it is called? */
static enum ns_status is_whole(const char *path, const char *digest, int *is)
{
	char hex[NS_SHA256_HEX];

	NS_TRY(ns_sha256_file(hex, path));
	*is = !strcmp(hex, digest);
	return NS_OK;
}

/* An object in use again is young for gc. Another user's file takes no new time from us: then it is written anew. */
static enum ns_status refresh(const char *path)
{
	enum ns_status status;
	size_t bytes;
	char *data;

	if (utimensat(AT_FDCWD, path, NULL, 0) == 0)
		return NS_OK;
	if (errno != EACCES && errno != EPERM)
		return ns_io_error(path, "cannot be given a new time");
	NS_TRY(ns_read_file(path, &data, &bytes));
	status = ns_write_file(path, data, bytes);
	free(data);
	if (status == NS_OK)
		chmod(path, 0444);
	return status;
}

static enum ns_status put(const char *registry, const char *data, size_t bytes, const char *digest)
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	int is;

	NS_TRY(ns_path(dir, "%s/objects/%.2s", registry, digest));
	NS_TRY(ns_path(path, "%s/%s", dir, digest + 2));
	NS_TRY(ns_exists(path, &is));
	if (is)
		NS_TRY(is_whole(path, digest, &is));
	if (is) /* a damaged one is replaced */
		return refresh(path);
	NS_TRY(ns_mkdirs(dir));
	NS_TRY(ns_write_file(path, data, bytes));
	chmod(path, 0444);
	return NS_OK;
}

enum ns_status ns_registry_put(const char *registry, const char *file, char digest[NS_SHA256_HEX])
{
	enum ns_status status;
	char *data;
	size_t bytes;

	NS_TRY(ns_read_file(file, &data, &bytes));
	ns_sha256(digest, data, bytes);
	status = put(registry, data, bytes, digest);
	free(data);
	return status;
}

/* What gc has set aside and was killed over, or is about to look at once more: whoever wants it takes it back. */
static void take_back(const char *dir, const struct ns_names *list, const char *rest)
{
	char from[NS_PATH_MAX], to[NS_PATH_MAX];
	size_t i;

	for (i = 0; i < list->count; i++)
		if (ns_registry_is_aside(list->name[i]) && !strncmp(list->name[i], rest, strlen(rest)) &&
		    ns_path(from, "%s/%s", dir, list->name[i]) == NS_OK && ns_path(to, "%s/%.62s", dir, list->name[i]) == NS_OK)
			(void)!rename(from, to);
}

/* how many objects begin so; path of the last of them */
static enum ns_status find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found, int again)
{
	char dir[NS_PATH_MAX];
	struct ns_names list;
	enum ns_status status;
	size_t i;

	*found = 0;
	NS_TRY(ns_path(dir, "%s/objects/%.2s", registry, digest));
	NS_TRY(ns_list_if_there(dir, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++)
		if (!strncmp(list.name[i], digest + 2, strlen(digest) - 2) && strlen(list.name[i]) == 62) {
			++*found;
			status = ns_path(path, "%s/%s", dir, list.name[i]);
		}
	if (status == NS_OK && !*found && !again)
		take_back(dir, &list, digest + 2);
	ns_names_release(&list);
	return status == NS_OK && !*found && !again ? find(registry, digest, path, found, 1) : status;
}

enum ns_status ns_registry_find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found)
{
	return find(registry, digest, path, found, 0);
}

enum ns_status ns_registry_object(const char *registry, const char *digest, char path[NS_PATH_MAX])
{
	int found;

	if (!is_prefix(digest))
		return ns_fail(NS_USAGE, "'%.80s' is no digest (at least 8 of its 64 hexadecimal digits)", digest);
	NS_TRY(find(registry, digest, path, &found, 0));
	if (found > 1)
		return ns_fail(NS_USAGE, "digest %s is not unique in %s", digest, registry);
	return found ? NS_OK : ns_fail(NS_IO, "%s: has no object %s", registry, digest);
}

/* --- the log --- */

/* "000012.json" is 12, any other name 0 */
static int number_of(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits >= 6 && digits <= 9 && !strcmp(name + digits, ".json") ? atoi(name) : 0;
}

/*
 * The highest number in the log of `name`, 0 where there is none. A folder that cannot be read is an error, and no empty log:
 * what was production yesterday must not be taken for what is.
 */
static enum ns_status newest(const char *registry, const char *name, int *high)
{
	char dir[NS_PATH_MAX];
	struct ns_names list;
	size_t i;

	*high = 0;
	NS_TRY(ns_path(dir, "%s/log/%s", registry, name));
	NS_TRY(ns_list_if_there(dir, &list));
	for (i = 0; i < list.count; i++)
		*high = number_of(list.name[i]) > *high ? number_of(list.name[i]) : *high;
	ns_names_release(&list);
	return NS_OK;
}

static enum ns_status read_entry(const char *registry, const char *name, int number, json_t **entry)
{
	char path[NS_PATH_MAX];
	const char *old, *new;

	NS_TRY(ns_path(path, "%s/log/%s/%06d.json", registry, name, number));
	NS_TRY(ns_json_read(path, entry, "nightshift.ref/1"));
	old = ns_json_text(*entry, "old");
	new = ns_json_text(*entry, "new");
	if (ns_is_sha256(new) && (!*old || ns_is_sha256(old)))
		return NS_OK;
	ns_fail(NS_BAD_DATA, "%s: goes from '%.70s' to '%.70s', digests of 64 hexadecimal digits are wanted", path, old, new);
	json_decref(*entry);
	return NS_BAD_DATA;
}

enum ns_status ns_registry_has(const char *registry, const char *name, int *is)
{
	NS_TRY(check_name(name));
	return newest(registry, name, is);
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

/* put `text` at number `n`, if that number is free: *won says. Won, but not surely on the disk: that is a warning */
static enum ns_status try_link(const char *dir, int n, const char *text, int *won, char warning[512])
{
	char path[NS_PATH_MAX];
	enum ns_status status;

	*won = 0;
	NS_TRY(ns_path(path, "%s/%06d.json", dir, n));
	status = ns_link_file(path, text, strlen(text), won);
	if (status == NS_OK || !*won)
		return status;
	snprintf(warning, 512, "the ref has moved, but a power cut may undo that: %.400s", ns_message());
	return NS_OK;
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

static char *entry_text(const char *name, const char *old, const char *digest, const char *why, const char *evidence)
{
	json_t *entry = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:s}", "schema", "nightshift.ref/1", "ref", name, "time",
				  (json_int_t)time(NULL), "old", old, "new", digest, "who", ns_json_string(getenv("USER") ? getenv("USER") : ""),
				  "why", ns_json_string(why ? why : ""), "evidence", evidence ? evidence : "");
	char *text = entry ? json_dumps(entry, JSON_INDENT(1)) : NULL;

	json_decref(entry);
	return text;
}

/*
 * What a ref is about to name, and all that it names in turn, becomes young: a gc that had not seen it in use spares it, and one
 * that has set it aside already makes this fail before the ref moves. See gc.c.
 */
static enum ns_status refresh_all(const char *registry, const char *name, const char *digest)
{
	struct ns_marks marks;
	char path[NS_PATH_MAX];
	enum ns_status status;
	const char *one;
	json_t *flag;
	int found;

	NS_TRY(ns_marks_init(&marks));
	ns_marks_add(&marks, digest);
	status = ns_marks_follow(&marks, registry, 0);
	json_object_foreach(marks.there, one, flag) {
		if (status == NS_OK)
			status = find(registry, one, path, &found, 0);
		if (status == NS_OK)
			status = found ? refresh(path) : ns_fail(NS_IO, "%s: object %.12s was removed just now; try again", registry, one);
	}
	ns_marks_release(&marks);
	return status == NS_OK ? ns_registry_check(registry, name, digest) : status;
}

/* After the link it is looked at once more: a ref must never name what is gone. */
static enum ns_status look_again(const char *registry, const char *name, const char *digest, char warning[512])
{
	enum ns_status status = ns_registry_check(registry, name, digest);

	if (status != NS_OK)
		return ns_fail_in(status, "ref '%s' has moved; put the model into the registry again", name);
	if (write_copy(registry, name) != NS_OK)
		snprintf(warning, 512, "ref '%.64s' has moved, but its copy under refs/ may be old until it is moved again: %.300s", name, ns_message());
	return NS_OK;
}

/* one try to put an entry behind the newest: *won says whether it is there, *same whether the ref was there already */
static enum ns_status try_move(const char *registry, const char *name, const char *digest, const char *expected, const char *why,
			       const char *evidence, int *won, int *same, char warning[512])
{
	char dir[NS_PATH_MAX], old[NS_SHA256_HEX] = "", *text;
	enum ns_status status;
	int n;

	NS_TRY(ns_path(dir, "%s/log/%s", registry, name));
	NS_TRY(ns_mkdirs(dir));
	NS_TRY(newest(registry, name, &n));
	if (n)
		NS_TRY(ns_registry_ref(registry, name, old));
	*same = !strcmp(old, digest);
	if (*same)
		return NS_OK;
	if (expected && strcmp(old, expected))
		return ns_fail(NS_REFUSED, "%s: ref '%s' is %.12s, but %.12s was expected; somebody else moved it", registry,
			       name, *old ? old : "new", *expected ? expected : "new");
	text = entry_text(name, old, digest, why, evidence);
	status = text ? try_link(dir, n + 1, text, won, warning) : ns_fail(NS_NO_MEMORY, "no memory");
	free(text);
	return status;
}

enum ns_status ns_registry_move(const char *registry, const char *name, const char *digest, const char *expected,
				const char *why, const char *evidence, char warning[512])
{
	char path[NS_PATH_MAX];
	int won = 0, same = 0, tries;

	*warning = 0;
	NS_TRY(check_name(name));
	if (!ns_is_sha256(digest))
		return ns_fail(NS_USAGE, "'%.80s' is no digest of 64 hexadecimal digits", digest);
	NS_TRY(ns_registry_object(registry, digest, path));
	NS_TRY(refresh_all(registry, name, digest));
	for (tries = 0; !won && !same && tries < 1000; tries++)
		NS_TRY(try_move(registry, name, digest, expected, why, evidence, &won, &same, warning));
	if (same) /* whoever was killed after the link has only the copy left to write */
		return write_copy(registry, name);
	if (!won)
		return ns_fail(NS_IO, "%s: ref '%s' is moved by too many at once", registry, name);
	return look_again(registry, name, digest, warning);
}

enum ns_status ns_registry_copy(const char *registry, const char *name)
{
	NS_TRY(check_name(name));
	return write_copy(registry, name);
}

enum ns_status ns_registry_log_from(const char *registry, const char *name, int first, json_t **log)
{
	enum ns_status status;
	int n, i;

	*log = NULL;
	NS_TRY(check_name(name));
	NS_TRY(newest(registry, name, &n));
	if (!n)
		return ns_fail(NS_IO, "%s: has no ref '%s'", registry, name);
	*log = json_array();
	for (status = NS_OK, i = first; i <= n && status == NS_OK; i++) {
		json_t *entry;

		status = read_entry(registry, name, i, &entry);
		if (status == NS_OK)
			json_array_append_new(*log, entry);
	}
	if (status != NS_OK) {
		json_decref(*log);
		*log = NULL;
	}
	return status;
}

enum ns_status ns_registry_log(const char *registry, const char *name, json_t **log)
{
	return ns_registry_log_from(registry, name, 1, log);
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
	char path[NS_PATH_MAX], log[NS_PATH_MAX];
	enum ns_status status;
	struct ns_names list;
	size_t i;

	*names = json_array();
	NS_TRY(ns_path(log, "%s/log", registry));
	NS_TRY(ns_list_if_there(log, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++) {
		int entries = 0, folder = 0; /* who was killed before the first link left a folder, and no ref */

		if (list.name[i][0] == '.')
			continue;
		status = ns_path(path, "%s/%s", log, list.name[i]);
		if (status == NS_OK)
			status = ns_is_dir(path, &folder);
		if (status == NS_OK && folder)
			status = newest(registry, list.name[i], &entries);
		if (status == NS_OK && entries && json_array_append_new(*names, json_string(list.name[i])))
			status = ns_fail(NS_BAD_DATA, "%s: is no name for a ref", path);
	}
	ns_names_release(&list);
	return status;
}
