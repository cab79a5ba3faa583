#define _POSIX_C_SOURCE 200809L
#include "host/train/checkpoint_inner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/base.h"
#include "host/graph/graph.h"

static const char *const array_names[NS_CHECKPOINT_ARRAYS] = {"weights", "momentum", "second_moment", "average", "best"};

/* Lists the newest `capacity` of the steps that have a record, newest first. */
static enum ns_status list_steps(const char *dir, int64_t *steps, int capacity, int *count)
{
	struct ns_names list;
	size_t k;
	int i;

	*count = 0;
	NS_TRY(ns_list_if_there(dir, &list));
	for (k = 0; k < list.count; k++) {
		char *end;
		int64_t step = strtoll(list.name[k], &end, 10);

		if (end == list.name[k] || strcmp(end, ".json"))
			continue;
		for (i = *count < capacity ? (*count)++ : capacity; i > 0 && steps[i - 1] < step; i--)
			if (i < capacity)
				steps[i] = steps[i - 1];
		if (i < capacity)
			steps[i] = step;
	}
	ns_names_release(&list);
	return NS_OK;
}

/* Tensors without a record, and temporary files of a process that was killed while it wrote, are to be removed. */
static int is_left_over(const char *dir, const char *name)
{
	char record[NS_PATH_MAX];
	int is;

	if (ns_is_temporary(name))
		return 1;
	if (!ns_ends_in(name, ".safetensors"))
		return 0;
	return ns_path(record, "%s/%.*s.json", dir, (int)(strlen(name) - strlen(".safetensors")), name) == NS_OK && ns_exists(record, &is) == NS_OK &&
	       !is;
}

/* Errors are ignored: what cannot be removed now is removed after the next checkpoint. */
static void drop_older(const char *dir, int keep)
{
	int64_t steps[64];
	char path[NS_PATH_MAX];
	struct ns_names list;
	int n, i;
	size_t k;

	if (list_steps(dir, steps, 64, &n) != NS_OK)
		return;
	for (i = keep; i < n; i++)
		if (ns_path(path, "%s/%08lld.json", dir, (long long)steps[i]) == NS_OK)
			unlink(path);
	if (ns_list(dir, &list) != NS_OK)
		return;
	for (k = 0; k < list.count; k++)
		if (is_left_over(dir, list.name[k]) && ns_path(path, "%s/%s", dir, list.name[k]) == NS_OK)
			unlink(path);
	ns_names_release(&list);
}

enum ns_status ns_checkpoint_write(const char *dir, const struct ns_checkpoint *c)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX], found[NS_SHA256_HEX];
	struct ns_tensor_out out[NS_CHECKPOINT_ARRAYS];
	enum ns_status status;
	json_t *json;
	char *text;
	int i, n = 0;

	NS_TRY(ns_mkdirs(dir));
	for (i = 0; i < NS_CHECKPOINT_ARRAYS; i++)
		if (c->arrays[i])
			out[n++] = (struct ns_tensor_out){array_names[i], 1, {c->floats}, c->arrays[i]};
	NS_TRY(ns_path(path, "%s/%08lld.safetensors", dir, (long long)c->step));
	NS_TRY(ns_tensors_write(path, out, n, NULL, hex));
	NS_TRY(ns_sha256_file(found, path));
	if (strcmp(hex, found))
		return ns_fail(NS_IO, "%s: the data read back differs from what was written; the previous checkpoint is kept", path);
	NS_TRY(ns_path(path, "%s/%08lld.json", dir, (long long)c->step));
	json = json_pack("{s:s, s:I, s:s, s:s, s:s, s:f, s:f, s:O}", "schema", "nightshift.checkpoint/1", "step", (json_int_t)c->step, "sha256", hex,
			 "precision", c->precision, "config", c->config_digest, "loss", c->loss, "hits", c->hits, "metrics", c->metrics);
	if (!json)
		return ns_fail(NS_INTERNAL, "%s: cannot make the record", path);
	/* doubles with all digits: a resumed epoch's sums must have the same bits */
	text = json_dumps(json, JSON_REAL_PRECISION(17));
	status = text ? ns_write_file(path, text, strlen(text)) : ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
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
	int i, is;

	NS_TRY(ns_path(path, "%s/%08lld.json", dir, (long long)step));
	NS_TRY(ns_json_read(path, &json, "nightshift.checkpoint/1"));
	NS_GO(ns_path(path, "%s/%08lld.safetensors", dir, (long long)step));
	NS_GO(ns_exists(path, &is));
	if (!is) {
		status = ns_fail(NS_DIGEST, "%s: is missing, but its record exists", path);
		goto out;
	}
	NS_GO(ns_sha256_file(hex, path));
	if (strcmp(hex, ns_json_text(json, "sha256"))) {
		status = ns_fail(NS_DIGEST, "%s: does not match the digest in its record", path);
		goto out;
	}
	if (strcmp(c->config_digest, ns_json_text(json, "config"))) {
		status = ns_fail(NS_CONFIG, "%s: belongs to another configuration; remove %s to start from the beginning", path, dir);
		goto out;
	}
	NS_GO(ns_tensors_read(&t, path));
	for (i = 0; i < NS_CHECKPOINT_ARRAYS && status == NS_OK; i++)
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

/* Removes the record, so that the checkpoint is refused only once; the tensors stay for inspection until the next checkpoint. */
static enum ns_status refuse(const char *dir, int64_t step)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/%08lld.json", dir, (long long)step));
	return unlink(path) ? ns_fail(NS_IO, "%s: cannot remove", path) : NS_OK;
}

enum ns_status ns_checkpoint_read(const char *dir, struct ns_checkpoint *c, struct ns_log *log)
{
	int64_t steps[64];
	enum ns_status status;
	int n;

	c->step = -1;
	NS_TRY(list_steps(dir, steps, 64, &n));
	if (!n)
		return NS_OK;
	status = read_one(dir, steps[0], c);
	if (status != NS_DIGEST && status != NS_BAD_DATA)
		return status;
	if (n < 2)
		return ns_fail_in(status, "the checkpoint is damaged, and there is none before it (remove %s to start from the beginning)", dir);
	ns_log_warn(log, "checkpoint REFUSED: %s; the one before it, of step %lld, is used", ns_message(), (long long)steps[1]);
	status = read_one(dir, steps[1], c);
	if (status == NS_DIGEST || status == NS_BAD_DATA)
		return ns_fail_in(status, "two checkpoints are damaged (remove %s to start from the beginning)", dir);
	return status == NS_OK ? refuse(dir, steps[0]) : status;
}
