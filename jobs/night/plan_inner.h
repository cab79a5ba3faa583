/* jobs/night/plan_inner.h - the list of steps while it grows, shared by plan.c and plan_steps.c. */
#ifndef NS_NIGHT_PLAN_INNER_H
#define NS_NIGHT_PLAN_INNER_H

#include "jobs/night/night_inner.h"

struct ns_plan_list {
	struct ns_night *n;
	char base[NS_PATH_MAX]; /* the folder of data/train, data/reference and test */
	int capacity, tasks;
	enum ns_status status;
	const char *last; /* the step that the next night depends on: it may move production */
};

struct ns_step *ns_plan_find(struct ns_night *n, const char *name);
void ns_plan_release(struct ns_step *s);
/* A new step of a night, or of the preparation where night is "": the last of the list. */
struct ns_step *ns_plan_add(struct ns_plan_list *p, const char *stage, enum ns_verb_id verb, const char *night, const char *what);
void ns_plan_order(struct ns_plan_list *p, struct ns_step *s, int before);
/* Adds the steps that `s` depends on, by name; those that this night does not have (an earlier preparation) are left out. */
void ns_plan_after(struct ns_plan_list *p, struct ns_step *s, const char *format, ...) NS_PRINTF(3, 4);
void ns_plan_set(struct ns_step *s, const char *key, const char *value);
/* key = a path below the night's folder, and below the preparation's */
void ns_plan_set_in(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *format, ...) NS_PRINTF(4, 5);
void ns_plan_set_base(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *name);
/* key = what production names, or where it names nothing a path below the preparation's folder */
void ns_plan_set_named(struct ns_plan_list *p, struct ns_step *s, const char *key, const char *named, const char *name);

#endif
