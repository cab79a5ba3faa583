/* jobs/night/record.c - files in a night's folder: their paths, those that are read if they are there or written once, the records of its steps. */
#include "jobs/night/night_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ns_night_path(const struct ns_night *n, char path[NS_PATH_MAX], const char *name)
{
	if (ns_path(path, "%s/%s", n->dir, name) != NS_OK)
		path[0] = 0;
	return path;
}

void ns_step_record_path(const char *dir, const char *name, int task, char path[NS_PATH_MAX])
{
	char flat[NS_STEP_NAME], number[16] = "", *p;

	snprintf(flat, sizeof flat, "%s", name);
	for (p = flat; *p; p++)
		if (*p == '/')
			*p = '.';
	if (task >= 0)
		snprintf(number, sizeof number, ".%05d", task);
	if (ns_path(path, "%s/steps/%s%s.json", dir, flat, number) != NS_OK)
		path[0] = 0;
}

const char *ns_step_state(const char *dir, const char *name, int task, json_t **record)
{
	char path[NS_PATH_MAX];

	*record = NULL;
	ns_step_record_path(dir, name, task, path);
	if (ns_json_read_if_there(path, record, "nightshift.step/1") != NS_OK || !*record)
		return "none";
	return ns_json_text(*record, "state");
}

enum ns_status ns_night_load(const struct ns_night *n, const char *a, const char *b, json_t **json)
{
	char path[NS_PATH_MAX], name[2 * NS_STEP_NAME];

	snprintf(name, sizeof name, "%s/%s", a, b);
	return ns_json_read_if_there(ns_night_path(n, path, name), json, NULL);
}

enum ns_status ns_night_write_once(const struct ns_night *n, const char *name, json_t *json)
{
	char path[NS_PATH_MAX], *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	enum ns_status status;
	int won;

	json_decref(json);
	if (!text)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %s", n->dir, name);
	status = ns_link_file(ns_night_path(n, path, name), text, strlen(text), &won);
	free(text);
	return status;
}
