/* host/registry/move.c - a ref moves: what it will name is made young, an entry is linked, the copy is written. */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Puts `text` at number `n` if that number is free; *won says whether it did. Won, but not flushed, is a warning. */
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

/* The log is read again after each write: whoever writes last has seen the newest entry, so an old copy never stays. */
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
	char who[NS_WHO];
	json_t *entry = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:I, s:o, s:s}", "schema", "nightshift.ref/1", "ref", name, "time",
				  (json_int_t)time(NULL), "old", old, "new", digest, "who", ns_json_string(ns_who(who)), "uid", (json_int_t)geteuid(),
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
			status = ns_registry_find(registry, one, path, &found);
		if (status == NS_OK)
			status = found ? ns_registry_refresh(path)
				       : ns_fail(NS_IO, "%s: object %.12s was removed meanwhile; try again", registry, one);
	}
	ns_marks_release(&marks);
	return status == NS_OK ? ns_registry_check(registry, name, digest) : status;
}

/* The object is checked once more after the link: a ref must never name one that is gone. */
static enum ns_status look_again(const char *registry, const char *name, const char *digest, char warning[512])
{
	enum ns_status status = ns_registry_check(registry, name, digest);

	if (status != NS_OK)
		return ns_fail_in(status, "ref '%s' has moved; put the model into the registry again", name);
	if (write_copy(registry, name) != NS_OK)
		snprintf(warning, 512, "ref '%.64s' has moved, but its copy under refs/ may be old until it is moved again: %.300s", name,
			 ns_message());
	return NS_OK;
}

/* One try to put an entry after the newest: *won says whether it did, *same whether the ref named `digest` already. */
static enum ns_status try_move(const char *registry, const char *name, const char *digest, const char *expected, const char *why,
			       const char *evidence, int *won, int *same, char warning[512])
{
	char dir[NS_PATH_MAX], old[NS_SHA256_HEX] = "", *text;
	enum ns_status status;
	int n;

	NS_TRY(ns_path(dir, "%s/log/%s", registry, name));
	NS_TRY(ns_mkdirs(dir));
	NS_TRY(ns_registry_newest(registry, name, &n));
	if (n)
		NS_TRY(ns_registry_ref(registry, name, old));
	*same = !strcmp(old, digest);
	if (*same)
		return NS_OK;
	if (expected && strcmp(old, expected))
		return ns_fail(NS_REFUSED, "%s: ref '%s' is %.12s, but %.12s was expected; somebody else moved it", registry, name,
			       *old ? old : "new", *expected ? expected : "new");
	text = entry_text(name, old, digest, why, evidence);
	status = text ? try_link(dir, n + 1, text, won, warning) : ns_fail(NS_NO_MEMORY, "out of memory for an entry of ref '%s'", name);
	free(text);
	return status;
}

enum ns_status ns_registry_move(const char *registry, const char *name, const char *digest, const char *expected, const char *why,
				const char *evidence, char warning[512])
{
	char path[NS_PATH_MAX];
	int won = 0, same = 0, tries;

	*warning = 0;
	NS_TRY(ns_registry_check_name(name));
	if (!ns_is_sha256(digest))
		return ns_fail(NS_USAGE, "invalid digest '%.80s', expected 64 hexadecimal digits", digest);
	NS_TRY(ns_registry_object(registry, digest, path));
	NS_TRY(refresh_all(registry, name, digest));
	for (tries = 0; !won && !same && tries < 1000; tries++)
		NS_TRY(try_move(registry, name, digest, expected, why, evidence, &won, &same, warning));
	if (same) { /* a process killed after its link has left the flush and the copy to be done */
		NS_TRY(ns_path(path, "%s/log/%s", registry, name));
		NS_TRY(ns_sync_dir(path));
		return write_copy(registry, name);
	}
	if (!won)
		return ns_fail(NS_IO, "%s: ref '%s' was moved by others at each of %d tries; try again", registry, name, tries);
	return look_again(registry, name, digest, warning);
}

enum ns_status ns_registry_copy(const char *registry, const char *name)
{
	NS_TRY(ns_registry_check_name(name));
	return write_copy(registry, name);
}
