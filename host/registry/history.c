/* host/registry/history.c - the log of each ref: numbered entries, of which the newest is where the ref is. */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <stdlib.h>
#include <string.h>

enum ns_status ns_registry_check_name(const char *name)
{
	return ns_is_name(name)
		       ? NS_OK
		       : ns_fail(NS_USAGE, "invalid ref name '%s': use letters, digits, '-', '_' and '.', and begin with a letter or digit", name);
}

/* "000012.json" is 12, any other name 0 */
static int number_of(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits >= 6 && digits <= 9 && !strcmp(name + digits, ".json") ? atoi(name) : 0;
}

/*
 * The highest number in the log of `name`, 0 where there is none. A folder that cannot be read is an error, and not an empty log:
 * an older entry must not be taken for the newest.
 */
enum ns_status ns_registry_newest(const char *registry, const char *name, int *high)
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
	ns_fail(NS_BAD_DATA, "%s: goes from '%.70s' to '%.70s', expected digests of 64 hexadecimal digits", path, old, new);
	json_decref(*entry);
	return NS_BAD_DATA;
}

enum ns_status ns_registry_has(const char *registry, const char *name, int *is)
{
	NS_TRY(ns_registry_check_name(name));
	return ns_registry_newest(registry, name, is);
}

enum ns_status ns_registry_ref(const char *registry, const char *name, char digest[NS_SHA256_HEX])
{
	NS_TRY(ns_registry_ref_if_there(registry, name, digest));
	return *digest ? NS_OK : ns_fail(NS_IO, "%s: has no ref '%s'", registry, name);
}

enum ns_status ns_registry_ref_if_there(const char *registry, const char *name, char digest[NS_SHA256_HEX])
{
	int n;
	json_t *entry;

	*digest = 0;
	NS_TRY(ns_registry_has(registry, name, &n));
	if (!n)
		return NS_OK;
	NS_TRY(read_entry(registry, name, n, &entry));
	snprintf(digest, NS_SHA256_HEX, "%s", ns_json_text(entry, "new"));
	json_decref(entry);
	return NS_OK;
}

enum ns_status ns_registry_log_from(const char *registry, const char *name, int first, json_t **log)
{
	enum ns_status status;
	int n, i;

	*log = NULL;
	NS_TRY(ns_registry_check_name(name));
	NS_TRY(ns_registry_newest(registry, name, &n));
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

enum ns_status ns_registry_stack(const char *registry, const char *name, json_t **stack)
{
	json_t *log, *entry;
	size_t i, top;

	*stack = json_array();
	NS_TRY(ns_registry_log(registry, name, &log));
	json_array_foreach(log, i, entry) {
		const char *now = ns_json_text(entry, "new");

		top = json_array_size(*stack);
		if (top > 1 && !strcmp(json_string_value(json_array_get(*stack, top - 2)), now))
			json_array_remove(*stack, top - 1);
		else
			json_array_append_new(*stack, json_string(now));
	}
	json_decref(log);
	return NS_OK;
}

enum ns_status ns_registry_previous(const char *registry, const char *name, char digest[NS_SHA256_HEX])
{
	json_t *stack;
	size_t top;
	enum ns_status status = ns_registry_stack(registry, name, &stack);

	*digest = 0;
	top = json_array_size(stack);
	if (top > 1)
		snprintf(digest, NS_SHA256_HEX, "%s", json_string_value(json_array_get(stack, top - 2)));
	json_decref(stack);
	NS_TRY(status);
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
		int entries = 0, folder = 0; /* a process killed before its first link left a folder, but no ref */

		if (list.name[i][0] == '.')
			continue;
		status = ns_path(path, "%s/%s", log, list.name[i]);
		if (status == NS_OK)
			status = ns_is_dir(path, &folder);
		if (status == NS_OK && folder)
			status = ns_registry_newest(registry, list.name[i], &entries);
		if (status == NS_OK && entries && json_array_append_new(*names, json_string(list.name[i])))
			status = ns_fail(NS_BAD_DATA, "%s: invalid ref name, which is not UTF-8", path);
	}
	ns_names_release(&list);
	return status;
}
