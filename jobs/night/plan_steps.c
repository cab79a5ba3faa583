/* jobs/night/plan_steps.c - the list of steps while it grows. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/night/plan_inner.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct ns_step *ns_plan_find(struct ns_night *n, const char *name)
{
	int i;

	for (i = 0; i < n->count; i++)
		if (!strcmp(n->steps[i].name, name))
			return &n->steps[i];
	return NULL;
}

void ns_plan_release(struct ns_step *s)
{
	json_decref(s->settings);
	json_decref(s->recipe);
	free(s->source);
	free(s->after);
	memset(s, 0, sizeof *s);
}

struct ns_step *ns_plan_add(struct ns_plan_list *p, const char *stage, enum ns_verb_id verb, const char *night, const char *what)
{
	struct ns_step *s;

	if (p->n->count == p->capacity) { /* the spare element behind the last: not a step, the plan fails */
		p->status = ns_fail(NS_INTERNAL, "step %s: the night has more than the %d steps that were counted", what, p->capacity);
		p->n->count--;
	}
	s = &p->n->steps[p->n->count++];
	ns_plan_release(s);
	snprintf(s->name, sizeof s->name, "%s/%s", *night ? night : "prepare", what);
	snprintf(s->night, sizeof s->night, "%s", night);
	s->stage = stage;
	s->verb = verb;
	s->settings = json_object();
	return s;
}

void ns_plan_order(struct ns_plan_list *p, struct ns_step *s, int before)
{
	int *more = realloc(s->after, (size_t)(s->after_count + 1) * sizeof *more);

	if (more) {
		s->after = more;
		s->after[s->after_count++] = before;
	} else {
		p->status = ns_fail(NS_NO_MEMORY, "out of memory for the steps of a night");
	}
}

/* Adds the steps that `s` depends on, by name; those that this night does not have (an earlier preparation) are left out. */
void ns_plan_after(struct ns_plan_list *p, struct ns_step *s, const char *format, ...)
{
	char name[2 * NS_STEP_NAME];
	struct ns_step *before;
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	before = ns_plan_find(p->n, name);
	if (before && before != s)
		ns_plan_order(p, s, (int)(before - p->n->steps));
}

void ns_plan_set(struct ns_step *s, const char *key, const char *value)
{
	json_object_set_new(s->settings, key, json_string_nocheck(value)); /* may be a path, which need not be UTF-8 */
}

/* key = a path below the night's folder */
void ns_plan_set_in(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *format, ...)
{
	char name[2 * NS_STEP_NAME], path[NS_PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	ns_plan_set(s, key, ns_night_path(p->n, path, name));
}

/* key = a path below the preparation's folder */
void ns_plan_set_base(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *name)
{
	char path[NS_PATH_MAX];

	ns_plan_set(s, key, ns_path(path, "%s/%s", p->base, name) == NS_OK ? path : "");
}

void ns_plan_set_named(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *named, const char *name)
{
	ns_plan_set_base(p, s, key, name);
	s->key = key;
	s->named = named;
}
