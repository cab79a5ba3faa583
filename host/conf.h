/*
 * host/conf.h - configuration: one table of keys says what may be written in YAML and on the command line, what
 * it is by default, and what --help prints.
 *
 * Later wins: table, then --config FILE, then --section.key=value. Unknown keys are errors with a hint.
 */
#ifndef NS_CONF_H
#define NS_CONF_H

#include <jansson.h>
#include <stdint.h>

#include "kernels/status.h"

enum ns_key_type { NS_KEY_INT, NS_KEY_REAL, NS_KEY_BOOL, NS_KEY_TEXT, NS_KEY_NODE /* any YAML */ };

struct ns_key {
	const char *name; /* "train.epochs" */
	const char *flag; /* "model" for --model; NULL: --train.epochs alone */
	enum ns_key_type type;
	const char *otherwise; /* default, as YAML; "null": none */
	unsigned verbs;	       /* bit v: verb v reads it */
	const char *help;
	double low, high; /* of numbers; both 0: any */
};

struct ns_conf {
	const struct ns_key *keys; /* ends with a NULL name */
	json_t *values;		   /* flat: name -> value, null where unset */
	json_t *given;		   /* names set by file or command line */
};

enum ns_status ns_conf_init(struct ns_conf *conf, const struct ns_key *keys);
void ns_conf_release(struct ns_conf *conf);
/* A copy that shares nothing. */
enum ns_status ns_conf_copy(struct ns_conf *to, const struct ns_conf *from);
/* A file with keys of one section only; what was given before stays. */
enum ns_status ns_conf_file_under(struct ns_conf *conf, const char *path, const char *section);
enum ns_status ns_conf_file(struct ns_conf *conf, const char *path);
/* Nested or flat values, as from YAML; `where` names them in messages. */
enum ns_status ns_conf_merge(struct ns_conf *conf, const json_t *tree, const char *where);
/* One "name" or flag with the text of its value; verb >= 0: it must be one that this verb reads. */
enum ns_status ns_conf_set(struct ns_conf *conf, const char *name, const char *text, int verb);
/* The key behind a name or flag; NULL if there is none. */
const struct ns_key *ns_conf_key(const struct ns_conf *conf, const char *name, int verb);
/* YAML text to JSON: maps, lists, numbers, true/false, null, strings. The caller drops *json. */
enum ns_status ns_yaml_parse(json_t **json, const char *text, size_t bytes, const char *where);
enum ns_status ns_yaml_read(json_t **json, const char *path);

int64_t ns_conf_int(const struct ns_conf *conf, const char *name);
double ns_conf_real(const struct ns_conf *conf, const char *name);
int ns_conf_bool(const struct ns_conf *conf, const char *name);
const char *ns_conf_text(const struct ns_conf *conf, const char *name);	 /* NULL where null */
const json_t *ns_conf_node(const struct ns_conf *conf, const char *name); /* NULL where null */
int ns_conf_given(const struct ns_conf *conf, const char *name);
/* Set one by program, as a job does for the jobs it calls. */
void ns_conf_put(struct ns_conf *conf, const char *name, json_t *value);
void ns_conf_put_text(struct ns_conf *conf, const char *name, const char *text);
void ns_conf_put_int(struct ns_conf *conf, const char *name, int64_t value);
void ns_conf_put_real(struct ns_conf *conf, const char *name, double value);
/* The word of `words` (NULL at the end) nearest to `word`, NULL if none is near. */
const char *ns_nearest(const char *word, const char *const *words);

#endif
