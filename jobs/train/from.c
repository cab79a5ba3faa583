/* jobs/train/from.c - model.from: a training starts with the weights of another model, or of a file that others wrote. */
#include "jobs/train/train_inner.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/infer/infer.h"

enum ns_status ns_train_arch_of_file(struct ns_job *job, const struct ns_found *f, struct ns_arch *arch)
{
	static const char *const keys[] = {"block", "blocks", "width", "stem"};
	struct ns_arch theirs = *arch;
	json_t *ours, *other;
	enum ns_status status = NS_OK;
	char key[32];
	size_t i;

	NS_TRY(ns_found_arch(f, &theirs));
	if (theirs.c != arch->c)
		return ns_fail(NS_BAD_DATA, "%s: takes images of %d channels, and the data has %d", f->t.path, theirs.c, arch->c);
	theirs.classes = arch->classes;
	ours = ns_arch_to_json(arch);
	other = ns_arch_to_json(&theirs);
	for (i = 0; i < sizeof keys / sizeof *keys && status == NS_OK; i++) {
		char *a = json_dumps(json_object_get(ours, keys[i]), JSON_ENCODE_ANY | JSON_COMPACT),
		     *b = json_dumps(json_object_get(other, keys[i]), JSON_ENCODE_ANY | JSON_COMPACT);

		snprintf(key, sizeof key, "model.%s", keys[i]);
		if (ns_conf_given(job->conf, key) && !json_equal(json_object_get(ours, keys[i]), json_object_get(other, keys[i])))
			status = ns_fail(NS_CONFIG, "%s = %s, but %s has %s; leave it out, and the file's is taken", key, a ? a : "", f->t.path,
					 b ? b : "");
		free(a);
		free(b);
	}
	json_decref(ours);
	json_decref(other);
	*arch = theirs;
	return status;
}

enum ns_status ns_train_take_file(struct ns_job *job, struct ns_model *m, const struct ns_found *f)
{
	struct ns_arch theirs = m->net.arch;
	int other;

	NS_TRY(ns_found_arch(f, &theirs));
	other = theirs.classes != m->net.arch.classes;
	if (!ns_conf_bool(job->conf, "model.leftovers"))
		NS_TRY(ns_found_check_left(f, &m->net));
	NS_TRY(ns_model_take(m, f, other));
	ns_log_event(job->log, "weights",
		     json_pack("{s:s, s:i, s:s, s:b, s:i, s:b}", "file", f->t.path, "tensors", (int)json_object_size(f->names), "prefix", f->prefix,
			       "renamed", f->renamed, "classes", theirs.classes, "new_head", other));
	if (other && theirs.classes)
		ns_log_warn(job->log, "%s has %d classes, and the data %d: the classifier (fc) is a new one", f->t.path, theirs.classes,
			    m->net.arch.classes);
	else if (other)
		ns_log_warn(job->log, "%s has no classifier (fc): it is a new one", f->t.path);
	return NS_OK;
}

enum ns_status ns_train_start_from(struct ns_job *job, struct ns_model *m, const char *from)
{
	struct ns_model old = {0};
	enum ns_status status = NS_OK;
	int c;

	NS_TRY(ns_load_model(job, &old, from));
	status = ns_model_check_trainable(&old, from);
	if (status != NS_OK) {
		ns_model_release(&old);
		return status;
	}
	if (old.net.floats != m->net.floats || memcmp(&old.net.arch, &m->net.arch, sizeof old.net.arch)) {
		status = ns_fail(NS_CONFIG, "model.from: %s has another architecture than the one under model:", from);
	} else {
		memcpy(m->values, old.values, sizeof *m->values * (size_t)m->net.floats);
		for (c = 0; c < 4; c++) {
			m->mean[c] = old.mean[c];
			m->std[c] = old.std[c];
		}
		json_object_set_new(m->facts, "parents", json_pack("[s]", old.digest));
	}
	ns_model_release(&old);
	return status;
}
