/* host/registry/objects.c - objects by their digest: put, found, each of them, verified. */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_aside(const char *name)
{
	static const char digits[] = "0123456789abcdef";

	return strspn(name, digits) == 62 && name[62] == '.' && strspn(name + 63, digits) == 16 && !strcmp(name + 79, NS_ASIDE);
}

static int is_prefix(const char *text)
{
	size_t n = strlen(text);

	return n >= 8 && n <= 64 && strspn(text, "0123456789abcdef") == n;
}

/* Has the file the digest that its name states? */
static enum ns_status is_whole(const char *path, const char *digest, int *is)
{
	char hex[NS_SHA256_HEX];

	NS_TRY(ns_sha256_file(hex, path));
	*is = !strcmp(hex, digest);
	return NS_OK;
}

/* Only its owner may give a file a new time: another user's is written anew. */
enum ns_status ns_registry_refresh(const char *path)
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

static enum ns_status object_put(const char *registry, const char *data, size_t bytes, const char *digest)
{
	char dir[NS_PATH_MAX], path[NS_PATH_MAX];
	int is;

	NS_TRY(ns_path(dir, "%s/objects/%.2s", registry, digest));
	NS_TRY(ns_path(path, "%s/%s", dir, digest + 2));
	NS_TRY(ns_exists(path, &is));
	if (is)
		NS_TRY(is_whole(path, digest, &is));
	if (is) { /* a damaged one is replaced; who put a sound one may have been killed before its name was flushed */
		NS_TRY(ns_registry_refresh(path));
		return ns_sync_dir(dir);
	}
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
	status = object_put(registry, data, bytes, digest);
	free(data);
	return status;
}

static enum ns_status put_text(const char *registry, char *text, char digest[NS_SHA256_HEX])
{
	enum ns_status status;

	if (!text)
		return ns_fail(NS_INTERNAL, "%s: an object cannot be written as JSON", registry);
	ns_sha256(digest, text, strlen(text));
	status = object_put(registry, text, strlen(text), digest);
	free(text);
	return status;
}

enum ns_status ns_registry_put_json(const char *registry, const json_t *json, char digest[NS_SHA256_HEX])
{
	return put_text(registry, json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL, digest);
}

enum ns_status ns_registry_put_canonical(const char *registry, const json_t *json, char digest[NS_SHA256_HEX])
{
	return put_text(registry, json ? ns_json_canonical(json) : NULL, digest);
}

/* Puts back an object that gc has set aside, be it that this gc was killed or is about to check it once more. */
static void take_back(const char *dir, const struct ns_names *list, const char *rest)
{
	char from[NS_PATH_MAX], to[NS_PATH_MAX];
	size_t i;

	for (i = 0; i < list->count; i++)
		if (is_aside(list->name[i]) && !strncmp(list->name[i], rest, strlen(rest)) && ns_path(from, "%s/%s", dir, list->name[i]) == NS_OK &&
		    ns_path(to, "%s/%.62s", dir, list->name[i]) == NS_OK)
			(void)!rename(from, to);
}

/* How many objects begin with these digits; path of the last of them. */
static enum ns_status object_find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found, int again)
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
	return status == NS_OK && !*found && !again ? object_find(registry, digest, path, found, 1) : status;
}

enum ns_status ns_registry_find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found)
{
	return object_find(registry, digest, path, found, 0);
}

enum ns_status ns_registry_object(const char *registry, const char *digest, char path[NS_PATH_MAX])
{
	int found;

	if (!is_prefix(digest))
		return ns_fail(NS_USAGE, "invalid digest '%.80s', expected at least 8 of its 64 hexadecimal digits", digest);
	NS_TRY(object_find(registry, digest, path, &found, 0));
	if (found > 1)
		return ns_fail(NS_USAGE, "digest %s is not unique in %s", digest, registry);
	return found ? NS_OK : ns_fail(NS_IO, "%s: has no object %s", registry, digest);
}

/* --- all of them --- */

/* fn for each name in objects/xx, or in a folder that holds no objects (first -1); digest: of an object, or "" where the name is not an object's */
enum ns_status ns_registry_each_in(const char *dir, int first, ns_object_fn *fn, void *context)
{
	char digest[NS_SHA256_HEX];
	struct ns_names list;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_list_if_there(dir, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++) {
		snprintf(digest, sizeof digest, "%02x%.62s", (unsigned)first & 0xff, list.name[i]);
		if (first < 0 || !ns_is_sha256(digest) || (list.name[i][62] && !is_aside(list.name[i])))
			*digest = 0;
		status = fn(context, dir, list.name[i], digest);
	}
	ns_names_release(&list);
	return status;
}

enum ns_status ns_registry_each(const char *registry, ns_object_fn *fn, void *context)
{
	char dir[NS_PATH_MAX];
	int i;

	for (i = 0; i < 256; i++) {
		NS_TRY(ns_path(dir, "%s/objects/%02x", registry, i));
		NS_TRY(ns_registry_each_in(dir, i, fn, context));
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

enum ns_status ns_registry_verify_objects(const char *registry, int64_t *objects)
{
	return ns_registry_each(registry, verify_object, objects);
}
