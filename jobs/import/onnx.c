/* jobs/import/onnx.c - a model from an ONNX file: a classifier of one image input. Its graph is made and run on two images before anything is written. */
#include "jobs/import/import_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/onnx.h"
#include "jobs/answer/answer.h"
#include "kernels/formula/random.h"

static int is_colours(int64_t c)
{
	return c == 1 || c == 3;
}

/* Its only input, as (N, C, H, W) or (N, H, W, C). */
static enum ns_status read_input(const struct ns_onnx *o, struct ns_arch *a)
{
	const struct ns_onnx_value *x = NULL;
	int i, count = 0, at;

	for (i = 0; i < o->value_count; i++)
		if (o->values[i].input && o->values[i].tensor < 0) {
			x = &o->values[i];
			count++;
		}
	if (count != 1)
		return ns_fail(NS_BAD_DATA, "%s: has %d inputs, expected one, of images", o->path, count);
	if (x->type != NS_ONNX_FLOAT || x->rank != 4 || (!is_colours(x->dims[1].value) && !is_colours(x->dims[3].value)))
		return ns_fail(NS_BAD_DATA,
			       "%s: input '%.*s' is %s of %d axes, expected float32 images of 1 or 3 channels, (N, C, H, W) or (N, H, W, C)", o->path,
			       (int)x->name.bytes, x->name.at, ns_onnx_type_name(x->type), x->rank);
	a->channels_last = !is_colours(x->dims[1].value);
	at = a->channels_last ? 1 : 2;
	a->c = (int)x->dims[a->channels_last ? 3 : 1].value;
	for (i = 0; i < 2; i++)
		if (x->dims[at + i].value > 4096)
			return ns_fail(NS_BAD_DATA, "%s: its images have a side of %lld, expected at most 4096", o->path,
				       (long long)x->dims[at + i].value);
	a->h = x->dims[at].value < 4 ? 0 : (int)x->dims[at].value;
	a->w = x->dims[at + 1].value < 4 ? 0 : (int)x->dims[at + 1].value;
	return NS_OK;
}

/* Classes as many as the first output has numbers for an image, or where it does not say that, as names were given. */
static enum ns_status read_classes(const struct ns_onnx *o, const json_t *names, struct ns_arch *a)
{
	int i, d;

	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_value *y = &o->values[i];
		int64_t k = 1;

		if (y->output != 1)
			continue;
		for (d = 1; d < y->rank; d++) {
			if (y->dims[d].value < 1 || k > NS_CLASSES_MAX / y->dims[d].value)
				k = -1;
			if (k < 0)
				break;
			k *= y->dims[d].value;
		}
		if ((y->rank < 2 || k < 2) && json_array_size(names) > 1)
			k = (int64_t)json_array_size(names);
		if (k < 2)
			return ns_fail(NS_BAD_DATA,
				       "%s: output '%.*s' does not say how many classes it has: expected (N, classes), or import.classes", o->path,
				       (int)y->name.bytes, y->name.at);
		a->classes = (int)k;
		return NS_OK;
	}
	return ns_fail(NS_BAD_DATA, "%s: has no output", o->path);
}

/* How images are prepared and outputs are read, as it was asked for. */
static enum ns_status take_reading(struct ns_reading *r, const struct ns_conf *conf, enum ns_task task)
{
	const char *rule = ns_conf_text(conf, "import.fit"), *filter = ns_conf_text(conf, "import.filter"), *head = ns_conf_text(conf, "import.head");
	const char *blank = ns_conf_text(conf, "import.blank");
	int fit = ns_fit_find(rule), by;

	*r = (struct ns_reading){.score = ns_conf_real(conf, "import.score"), .iou = ns_conf_real(conf, "import.iou")};
	if (fit < 0)
		return ns_fail(NS_CONFIG, "import.fit is '%s', expected cover, stretch, letterbox, corner, within or height", rule);
	r->fit = (struct ns_fit){.rule = (enum ns_fit_rule)fit,
				 .resize = (int)ns_conf_int(conf, "import.resize"),
				 .fill = ns_conf_real(conf, "import.fill")};
	if (task == NS_TASK_CLASSIFY && r->fit.fill != floor(r->fit.fill))
		return ns_fail(NS_CONFIG,
			       "import.fill is %g: of a classifier it is a whole number, as its images are bytes until they are standardised",
			       r->fit.fill);
	r->fit.multiple = fit == NS_FIT_WITHIN ? (int)ns_conf_int(conf, "import.multiple") : 0;
	if (r->fit.resize && fit != NS_FIT_COVER)
		return ns_fail(NS_CONFIG, "import.resize is of the rule cover, not of %s", rule);
	by = filter ? ns_filter_find(filter) : fit == NS_FIT_COVER && !r->fit.resize ? NS_FILTER_AREA : NS_FILTER_BILINEAR;
	if (by < 0)
		return ns_fail(NS_CONFIG, "import.filter is '%s', expected area, bilinear, bicubic, lanczos, box, nearest or opencv", filter);
	r->fit.filter = (enum ns_filter)by;
	if (strcmp(blank, "first") && strcmp(blank, "last"))
		return ns_fail(NS_CONFIG, "import.blank is '%s', expected first or last", blank);
	r->blank_last = !strcmp(blank, "last");
	r->head = head ? ns_head_find(head) : NULL;
	if (task == NS_TASK_DETECT && !r->head)
		return ns_fail(NS_CONFIG, "import.head is %s%s%s, expected %s", head ? "'" : "", head ? head : "not given", head ? "'" : "",
			       ns_head_names());
	if (task != NS_TASK_DETECT && head)
		return ns_fail(NS_CONFIG, "import.head is of the task detect, not of %s", ns_task_name(task));
	return ns_fit_check(&r->fit);
}

/* Numbers of the first output, or its channels where it is a map: as many as there are names to give. */
static enum ns_status count_names(const struct ns_onnx *o, struct ns_arch *a)
{
	const struct ns_backend *cpu = ns_backend_find("cpu");
	struct ns_device *dev = NULL;
	struct ns_raw *raw = NULL;
	enum ns_status status;
	int64_t n;

	NS_GO(cpu->open(&dev, 0));
	NS_GO(ns_raw_make(&raw, o, a, dev, a->h, a->w));
	n = a->task == NS_TASK_SEGMENT && raw->outputs[0].box.rank == 4 ? raw->outputs[0].box.dim[1]
	    : a->task == NS_TASK_READ && raw->outputs[0].box.rank	? raw->outputs[0].box.dim[raw->outputs[0].box.rank - 1]
									: ns_box_count(&raw->outputs[0].box);
	if (a->task == NS_TASK_SEGMENT && n == 1) /* whether, or not */
		n = 2;
	if (n < 1 || n > NS_CLASSES_MAX)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: its first output has %lld numbers, expected 1 to %d", o->path, (long long)n, NS_CLASSES_MAX));
	a->classes = (int)n;
out:
	ns_raw_free(raw);
	if (dev)
		cpu->close(dev);
	return status;
}

/* Of another task than classify: names are those that were asked for, or the numbers of what has no other. */
static enum ns_status names_of_task(const struct ns_job *job, const struct ns_onnx *o, json_t *own, struct ns_arch *a)
{
	const json_t *names = ns_conf_node(job->conf, "import.classes");

	if (own && a->task == NS_TASK_READ) { /* PP-OCR's dictionaries leave out the blank, and the space that comes last */
		NS_TRY(count_names(o, a));
		if (a->classes == (int)json_array_size(own) + 2)
			json_array_append_new(own, json_string(" "));
	}
	a->classes = (int)json_array_size(names ? names : own);
	if (!a->classes && (a->task == NS_TASK_DETECT || a->task == NS_TASK_READ))
		return ns_fail(NS_CONFIG, "%s: import.classes is required: nothing says what it %s", o->path,
			       a->task == NS_TASK_READ ? "reads: its symbols, in its order, without the blank" : "detects, in its order");
	if (names && (a->task == NS_TASK_EMBED || a->task == NS_TASK_REGIONS || a->task == NS_TASK_RAW))
		return ns_fail(NS_CONFIG, "%s: import.classes: what it gives has no names, as its task is %s", o->path, ns_task_name(a->task));
	if (a->task == NS_TASK_TAGS || a->task == NS_TASK_REGRESS || a->task == NS_TASK_SEGMENT)
		return count_names(o, a);
	return NS_OK;
}

/* What is counted by its name has one of its own; of a text's symbols several may be alike. */
static enum ns_status check_names(const json_t *names, enum ns_task task, const char *file)
{
	json_t *seen = json_object();
	enum ns_status status = NS_OK;
	const json_t *one;
	size_t i;

	json_array_foreach(names, i, one) {
		if (status == NS_OK && task != NS_TASK_CLASSIFY && task != NS_TASK_READ && json_object_get(seen, json_string_value(one)))
			status = ns_fail(NS_CONFIG, "%s: import.classes: '%.80s' is there twice", file, json_string_value(one));
		json_object_set_new(seen, json_string_value(one), json_true());
	}
	json_decref(seen);
	return status;
}

static enum ns_status one_size(const struct ns_model *m, const struct ns_reading *r, int w, int *embedding)
{
	const struct ns_arch *a = &m->net.arch;
	size_t n = (size_t)a->h * (size_t)w * (size_t)a->c, i;
	struct ns_predictor *p = NULL;
	uint8_t *noise = malloc(n);
	json_t *result = NULL;
	enum ns_status status;

	NS_GO(noise ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for an image"));
	for (i = 0; i < n; i++)
		noise[i] = (uint8_t)ns_draw(1, NS_FOR_INIT, 1, (uint64_t)i, 0).v[0];
	NS_GO(ns_predictor_make(&p, m, r, NULL));
	NS_GO(ns_predictor_run(p, noise, a->h, w, &result));
	ns_predictor_embedding(p, embedding);
out:
	json_decref(result);
	ns_predictor_free(p);
	free(noise);
	return status;
}

/* An image of noise through all of it, and a wider one where that has another canvas: what does not fit the task shows now, and not at night. */
static enum ns_status try_out(const struct ns_model *m, struct ns_reading *r)
{
	int first, second;

	r->fit.h = m->net.arch.h;
	r->fit.w = m->net.arch.w;
	r->top = 1;
	NS_TRY(one_size(m, r, r->fit.w, &first));
	if (r->fit.rule != NS_FIT_WITHIN && r->fit.rule != NS_FIT_HEIGHT)
		return NS_OK;
	NS_TRY(one_size(m, r, 2 * r->fit.w, &second));
	return first == second
		       ? NS_OK
		       : ns_fail(NS_BAD_DATA, "its embedding has %d numbers of one image and %d of a wider one: expected a rule that gives one size",
				 first, second);
}

static enum ns_status read_task(const struct ns_job *job, struct ns_arch *a)
{
	const char *task = ns_conf_text(job->conf, "import.task"), *colours = ns_conf_text(job->conf, "import.colours");
	int found = ns_task_find(task);

	if (found < 0)
		return ns_fail(NS_CONFIG, "import.task is '%s', expected classify, tags, detect, segment, regions, read, embed, regress or raw",
			       task);
	a->task = (enum ns_task)found;
	a->bgr = !strcmp(colours, "bgr");
	return a->bgr || !strcmp(colours, "rgb") ? NS_OK : ns_fail(NS_CONFIG, "import.colours is '%s', expected rgb or bgr", colours);
}

/* Its graph and what it is, from its file and what lies beside it. */
static enum ns_status read_model(const struct ns_job *job, const struct ns_onnx *o, struct ns_arch *a, struct ns_import_facts *f)
{
	const json_t *asked = ns_conf_node(job->conf, "import.classes");
	json_t *own = NULL;
	enum ns_status status;
	int nameless;

	NS_TRY(read_task(job, a));
	NS_TRY(read_input(o, a));
	NS_TRY(ns_import_facts(f, job->conf, o->path, a));
	a->h = f->h;
	a->w = f->w;
	a->onnx = a->alone = 1;
	nameless = a->task == NS_TASK_EMBED || a->task == NS_TASK_REGIONS || a->task == NS_TASK_RAW;
	own = asked || nameless ? NULL : ns_import_names_of_file(o);
	NS_GO(a->task == NS_TASK_CLASSIFY ? read_classes(o, asked ? asked : own, a) : names_of_task(job, o, own, a));
	status = ns_import_names(f, job->conf, o->path, a->classes, own);
out:
	json_decref(own);
	NS_TRY(status);
	return a->task == NS_TASK_CLASSIFY ? ns_foreign_probe(a, o) : NS_OK;
}

/* A model here is one file: weights of others are put into it. */
static enum ns_status gather(struct ns_onnx **o)
{
	struct ns_onnx_message whole = {NULL, 0, 0, 0};
	struct ns_onnx *one;
	enum ns_status status;
	int i = 0;

	while (i < (*o)->tensor_count && !(*o)->tensors[i].location.bytes)
		i++;
	if (i == (*o)->tensor_count)
		return NS_OK;
	status = ns_onnx_put_inside(*o, &whole);
	if (status != NS_OK) {
		ns_onnx_message_release(&whole);
		return status;
	}
	NS_TRY(ns_onnx_read_bytes(&one, whole.bytes, whole.n, (*o)->path));
	ns_onnx_free(*o);
	*o = one;
	return NS_OK;
}

enum ns_status ns_import_onnx(const struct ns_job *job, const char *file, struct ns_model *m, struct ns_import_facts *f)
{
	struct ns_reading reading;
	struct ns_arch arch;
	struct ns_onnx *o;
	enum ns_status status;

	memset(&arch, 0, sizeof arch);
	NS_TRY(ns_onnx_read(&o, file));
	NS_GO(gather(&o));
	NS_GO(read_model(job, o, &arch, f));
	NS_GO(take_reading(&reading, job->conf, arch.task));
	NS_GO(ns_reading_check(&reading, arch.task, arch.classes));
	NS_GO(check_names(f->classes, arch.task, file));
	NS_GO(ns_import_make(m, &arch, f));
	m->onnx = o;
	json_object_set_new(m->facts, "fit", ns_reading_fit(&reading));
	if (arch.task != NS_TASK_CLASSIFY)
		json_object_set_new(m->facts, "decode", ns_reading_decode(&reading, arch.task));
	status = try_out(m, &reading);
	if (status == NS_OK && ns_task_trains(arch.task))
		status = ns_model_note_training(m);
	return status == NS_OK ? NS_OK : ns_fail_in(status, "%s", file);
out:
	ns_onnx_free(o);
	return status;
}

static void tell_training(const struct ns_model *m)
{
	const json_t *trains = json_object_get(m->facts, "trains");

	if (!trains)
		return;
	if (json_object_get(trains, "because"))
		printf("  it is not trained here: %s\n", ns_json_text(trains, "because"));
	else
		printf("  a training may change %lld weights, of %lld numbers; %lld others stay as they are\n",
		       (long long)json_integer_value(json_object_get(trains, "tensors")),
		       (long long)json_integer_value(json_object_get(trains, "parameters")),
		       (long long)json_integer_value(json_object_get(trains, "fixed")));
}

void ns_import_tell_onnx(const struct ns_model *m, const char *file)
{
	const struct ns_arch *a = &m->net.arch;

	printf("%s: %d nodes of ONNX, images with channels %s, in the order %s\n", file, m->onnx->node_count, a->channels_last ? "last" : "first",
	       a->bgr ? "BGR" : "RGB");
	if (a->task != NS_TASK_CLASSIFY) {
		printf("  its task is %s\n", ns_task_name(a->task));
		tell_training(m);
		return;
	}
	printf("  %s\n", a->probabilities ? "outputs are probabilities: their logarithms are the logits" : "outputs are taken as logits");
	printf("  the embedding is %s, %d numbers\n", a->embedding == a->classes ? "the logits" : "what its last weights read", a->embedding);
	printf("  two images together %s\n",
	       a->alone ? "do not give what each gives alone: images are run one by one" : "give what each gives alone");
	tell_training(m);
}
