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

/* Weights of another model of ours, of the same architecture. */
static enum ns_status take_model(struct ns_model *m, const struct ns_model *old, const char *from)
{
	int c;

	if (old->net.floats != m->net.floats || memcmp(&old->net.arch, &m->net.arch, sizeof old->net.arch))
		return ns_fail(NS_CONFIG, "model.from: %s has another architecture than the one under model:", from);
	memcpy(m->values, old->values, sizeof *m->values * (size_t)m->net.floats);
	for (c = 0; c < 4; c++) {
		m->mean[c] = old->mean[c];
		m->std[c] = old->std[c];
	}
	ns_model_copy_reading(m, old);
	return NS_OK;
}

enum ns_status ns_train_start_from(struct ns_model *m, const struct ns_model *old, const char *from)
{
	NS_TRY(take_model(m, old, from));
	json_object_set_new(m->facts, "parents", json_pack("[s]", old->digest));
	return NS_OK;
}

/* Keys that describe networks which are built here; the graph of one that came as ONNX is what it is. */
static enum ns_status refuse_architecture(const struct ns_conf *conf, const char *from)
{
	static const char *const keys[] = {"model.family", "model.block", "model.blocks", "model.width",
					   "model.stem",   "model.input", "model.epsilon"};
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (ns_conf_given(conf, keys[i]))
			return ns_fail(NS_CONFIG, "%s: is of networks that are built here; %s came as ONNX, and its graph stays as it is", keys[i],
				       from);
	return NS_OK;
}

enum ns_status ns_train_tune(struct ns_job *job, struct ns_model *m, const struct ns_model *old, const struct ns_shard_head *h, const char *from)
{
	int classifies = old->net.arch.task == NS_TASK_CLASSIFY, i, kept = classifies ? h->class_count : old->class_count,
	    same = !classifies || old->class_count == h->class_count;

	NS_TRY(refuse_architecture(job->conf, from));
	NS_TRY(ns_model_copy(m, old));
	m->temperature = 1; /* of other weights; train.calibrate finds theirs */
	json_object_set_new(m->facts, "parents", json_pack("[s]", old->digest));
	for (i = 0; classifies && same && i < h->class_count; i++)
		same = !strcmp(old->classes[i], h->classes[i]);
	if (!same) {
		NS_TRY(ns_model_new_head(m, (const char *const *)h->classes, h->class_count, (uint64_t)ns_conf_int(job->conf, "seed"), &kept));
		NS_TRY(ns_model_note_training(m)); /* it has other numbers */
		ns_log_warn(job->log, "%s has %d classes, and the data %d: its last weights are of these now, %d of them as they were by their names",
			    from, old->class_count, h->class_count, kept);
	}
	NS_TRY(ns_model_learn(m, ns_conf_text(job->conf, "train.freeze")));
	ns_log_event(job->log, "weights",
		     json_pack("{s:s, s:i, s:I, s:i, s:b}", "model", from, "tensors", m->net.param_count, "parameters", (json_int_t)m->net.floats,
			       "classes_kept", kept, "new_head", !same));
	return NS_OK;
}
