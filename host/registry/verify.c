/* host/registry/verify.c - every object, every history and every copy is what it says. */
#define _GNU_SOURCE
#include "host/registry/registry_inner.h"

#include <stdlib.h>
#include <string.h>

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
	NS_GO(is ? NS_OK : ns_fail(NS_IO, "%s: is not a registry", registry));
	NS_GO(ns_registry_verify_objects(registry, objects));
	NS_GO(ns_marks_logs(&marks, registry, 1));
	NS_GO(ns_marks_copies(&marks, registry));
	NS_GO(ns_registry_names(registry, &names));
	json_array_foreach(names, i, name)
		NS_GO(verify_copy(registry, json_string_value(name)));
out:
	json_decref(names);
	ns_marks_release(&marks);
	return status;
}
