#define _POSIX_C_SOURCE 200809L
#include "host/net/checkpoint.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/net/safetensors.h"

static const char *const array_names[4] = {"weights", "momentum", "second_moment", "average"};

/* steps that have a record, newest first; at most `room` */
static int list_steps(const char *dir, int64_t *steps, int room)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0, i;

	while (d && (e = readdir(d)) && n < room) {
		char *end;
		int64_t step = strtoll(e->d_name, &end, 10);

		if (end == e->d_name || strcmp(end, ".json"))
			continue;
		for (i = n++; i > 0 && steps[i - 1] < step; i--)
			steps[i] = steps[i - 1];
		steps[i] = step;
	}
	if (d)
		closedir(d);
	return n;
}

static void drop_older(const char *dir, int keep)
{
	int64_t steps[64];
	int n = list_steps(dir, steps, 64), i;
	char path[NS_PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(dir);

	/* half a file of a process that was killed while it wrote */
	while (d && (e = readdir(d)))
		if (strlen(e->d_name) > 4 && !strcmp(e->d_name + strlen(e->d_name) - 4, ".tmp") && ns_path(path, "%s/%s", dir, e->d_name) == NS_OK)
			unlink(path);
	if (d)
		closedir(d);
	for (i = keep; i < n; i++) { /* the record first: what has none does not exist */
		if (ns_path(path, "%s/%08lld.json", dir, (long long)steps[i]) == NS_OK)
			unlink(path);
		if (ns_path(path, "%s/%08lld.safetensors", dir, (long long)steps[i]) == NS_OK)
			unlink(path);
	}
}

enum ns_status ns_checkpoint_write(const char *dir, const struct ns_checkpoint *c)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	struct ns_tensor_out out[4];
	enum ns_status status;
	json_t *json;
	char *text;
	int i, n = 0;

	NS_TRY(ns_mkdirs(dir));
	for (i = 0; i < 4; i++)
		if (c->arrays[i])
			out[n++] = (struct ns_tensor_out){array_names[i], 1, {c->floats}, c->arrays[i]};
	NS_TRY(ns_path(path, "%s/%08lld.safetensors", dir, (long long)c->step));
	NS_TRY(ns_tensors_write(path, out, n, NULL));
	NS_TRY(ns_sha256_file(hex, path));
	NS_TRY(ns_path(path, "%s/%08lld.json", dir, (long long)c->step));
	json = json_pack("{s:s, s:I, s:s, s:s, s:s, s:f, s:f, s:O}", "schema", "nightshift.checkpoint/1", "step",
			 (json_int_t)c->step, "sha256", hex, "precision", c->precision, "config", c->config_digest, "loss",
			 c->loss, "hits", c->hits, "metrics", c->metrics);
	if (!json)
		return ns_fail(NS_INTERNAL, "%s: the record cannot be made", path);
	/* doubles in full: the epoch's sums go on bit for bit */
	text = json_dumps(json, JSON_REAL_PRECISION(17));
	status = text ? ns_write_file(path, text, strlen(text)) : ns_fail(NS_NO_MEMORY, "%s: no memory", path);
	free(text);
	json_decref(json);
	if (status == NS_OK)
		drop_older(dir, 2);
	return status;
}

static enum ns_status read_one(const char *dir, int64_t step, struct ns_checkpoint *c)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	struct ns_tensors t;
	enum ns_status status;
	json_t *json;
	int i;

	NS_TRY(ns_path(path, "%s/%08lld.json", dir, (long long)step));
	NS_TRY(ns_json_read(path, &json, "nightshift.checkpoint/1"));
	NS_GO(ns_path(path, "%s/%08lld.safetensors", dir, (long long)step));
	NS_GO(ns_sha256_file(hex, path));
	if (strcmp(hex, ns_json_text(json, "sha256"))) {
		status = ns_fail(NS_DIGEST, "%s: does not match the digest in its record", path);
		goto out;
	}
	if (strcmp(c->config_digest, ns_json_text(json, "config"))) {
		status = ns_fail(NS_CONFIG, "%s: belongs to another configuration; remove %s to start anew", path, dir);
		goto out;
	}
	NS_GO(ns_tensors_read(&t, path));
	for (i = 0; i < 4 && status == NS_OK; i++)
		if (c->arrays[i])
			status = ns_tensors_get(&t, array_names[i], 1, &c->floats, c->arrays[i]);
	ns_tensors_release(&t);
	if (status != NS_OK)
		goto out;
	c->step = step;
	c->loss = ns_json_number(json, "loss", 0);
	c->hits = ns_json_number(json, "hits", 0);
	snprintf(c->precision, sizeof c->precision, "%s", ns_json_text(json, "precision"));
	c->metrics = json_deep_copy(json_object_get(json, "metrics"));
out:
	json_decref(json);
	return status;
}

enum ns_status ns_checkpoint_read(const char *dir, struct ns_checkpoint *c, struct ns_log *log)
{
	int64_t steps[64];
	int n = list_steps(dir, steps, 64), i;

	c->step = -1;
	for (i = 0; i < n; i++) {
		enum ns_status status = read_one(dir, steps[i], c);

		if (status == NS_OK || status == NS_CONFIG)
			return status;
		ns_log_warn(log, "checkpoint refused: %s; the one before it is tried", ns_message());
	}
	return NS_OK;
}
