/* jobs/retrain/train_verb.c - the verb train: a fresh training, or a retrain manifest, which is executed once. */
#include "jobs/retrain/retrain.h"

#include <string.h>

#include "jobs/train/train.h"

/* Does every file that this result lists exist, unchanged? */
static enum ns_status is_whole(const char *out, const json_t *outputs, int *is)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	const json_t *one;
	size_t i;
	int there;

	*is = json_array_size(outputs) > 0;
	json_array_foreach(outputs, i, one) {
		NS_TRY(ns_path(path, "%s/%s", out, ns_json_text(one, "file")));
		NS_TRY(ns_is_file(path, &there));
		if (there)
			NS_TRY(ns_sha256_file(hex, path));
		*is &= there && !strcmp(hex, ns_json_text(one, "sha256"));
	}
	return NS_OK;
}

/* Rank 0 alone. Is --out the complete result of this manifest with this seed? */
static enum ns_status is_executed(const struct ns_job *job, const char *manifest, int *is)
{
	const char *out = ns_conf_text(job->conf, "out");
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *run, *one;
	enum ns_status status;
	size_t i;

	if (!out || ns_conf_bool(job->conf, "force") || ns_path(path, "%s/run.json", out) != NS_OK)
		return NS_OK;
	NS_TRY(ns_json_read_if_there(path, &run, "nightshift.run/1"));
	if (!run)
		return NS_OK;
	NS_TRY(ns_sha256_file(hex, manifest));
	json_array_foreach(json_object_get(run, "inputs"), i, one)
		*is |= !strcmp(ns_json_text(one, "what"), "manifest") && !strcmp(ns_json_text(one, "digest"), hex);
	*is &= !strcmp(ns_json_text(run, "verb"), job->verb) &&
	       json_integer_value(json_object_get(json_object_get(run, "config"), "seed")) == ns_conf_int(job->conf, "seed");
	status = *is ? is_whole(out, json_object_get(run, "outputs"), is) : NS_OK;
	json_decref(run);
	return status;
}

enum ns_status ns_job_train(struct ns_job *job, int argc, char **argv)
{
	static const char *const taken_from_manifest[] = {"data", "train.val", "train.calibrate", "model.from"};
	const char *manifest = ns_conf_text(job->conf, "train.manifest");
	int executed = 0;
	size_t i;

	(void)argv;
	ns_stop_install();
	if (argc)
		return ns_fail(NS_USAGE, "train: takes no operand; --data or --manifest is required");
	if (!manifest)
		return ns_train_fresh(job);
	for (i = 0; i < sizeof taken_from_manifest / sizeof *taken_from_manifest; i++)
		if (ns_conf_given(job->conf, taken_from_manifest[i]))
			return ns_fail(NS_USAGE, "train: the manifest determines --%s; remove the option", taken_from_manifest[i]);
	NS_TRY(ns_job_agree(job, job->comm->rank == 0 ? is_executed(job, manifest, &executed) : NS_OK));
	NS_TRY(ns_comm_broadcast(job->comm, &executed, sizeof executed, 0));
	if (executed) { /* a manifest is executed once, however often it is requested */
		ns_log_event(job->log, "executed", json_pack("{s:s, s:s}", "manifest", manifest, "out", ns_conf_text(job->conf, "out")));
		return NS_OK;
	}
	NS_TRY(ns_job_begin(job, 1));
	NS_TRY(ns_retrain(job, manifest));
	return ns_job_publish(job);
}
