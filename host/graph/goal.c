/*
 * host/graph/goal.c - losses of the tasks, as nodes behind a graph, so that its gradients come from the rules of the ops: cross-entropy of classes and of pixels, binary
 * cross-entropy of tags, smooth L1 of numbers (Girshick 2015), soft Dice (Milletari et al. 2016) and IoU (Rahman, Wang 2016) of masks,
 * connectionist temporal classification of texts (Graves et al. 2006).
 */
#include "host/graph/goal_inner.h"

#include <math.h>
#include <string.h>

#include "host/graph/exec_inner.h"
#include "host/onnx/onnx.h"
#include "kernels/formula/pointwise.h"

/* Cross-entropy of rows of logits; weights of classes where there are some. rows_of: of one image. */
static enum ns_status cross_entropy(struct ns_dag *d, int logits, int64_t rows, int classes, const struct ns_loss *loss, int64_t batch,
				    struct ns_goal *g)
{
	struct ns_op op = {.kind = NS_OP_XENT, .u.xent = ns_loss_op(loss, (int)rows, classes, (int)batch)};
	const struct ns_box one = {1, {1}}, all = {2, {rows, classes}};
	int in[3] = {logits, -1, -1}, made[3];

	NS_TRY(ns_dag_input(d, NS_I32, &(struct ns_box){1, {rows}}, &in[NS_XENT_T]));
	if (loss->weights)
		NS_TRY(ns_dag_constant(d, NS_F32, &(struct ns_box){1, {classes}}, loss->weights, &in[NS_XENT_WEIGHTS]));
	NS_TRY(ns_dag_value(d, NS_F32, &all, in, 2, &made[NS_XENT_DX]));
	NS_TRY(ns_dag_value(d, NS_F32, &one, in, 2, &made[NS_XENT_LOSS]));
	NS_TRY(ns_dag_value(d, NS_F32, &one, in, 2, &made[NS_XENT_HITS]));
	g->y = logits;
	g->dy = made[NS_XENT_DX];
	g->loss = made[NS_XENT_LOSS];
	g->hits = made[NS_XENT_HITS];
	return ns_dag_add(d, &op, in, 3, made, 3);
}

static enum ns_status classify(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			       struct ns_goal *g)
{
	int logits;

	NS_TRY(ns_goal_logits(d, m, n, outputs, &logits));
	g->target = (struct ns_target){NS_TASK_CLASSIFY, 1, 1, 1, 0, 0};
	return cross_entropy(d, logits, n, m->net.arch.classes, loss, batch, g);
}

/* --- sums over images --- */

/* The sum of all elements, times a factor, as one number. */
static enum ns_status total(struct ns_dag *d, int x, double factor, int *sum)
{
	const int64_t count = ns_box_count(&ns_dag_at(d, x)->box);

	NS_TRY(ns_dag_view(d, x, &(struct ns_box){1, {count}}, &x));
	NS_TRY(ns_dag_reduce(d, x, NS_REDUCE_SUM, 1, 1, &x));
	return ns_dag_formula_of(d, NS_PW_MUL, x, &factor, 1, NS_F32, sum);
}

/* Each element of y is a part of the loss with this weight in it. */
static enum ns_status add_up(struct ns_dag *d, int y, double weight, int batch, struct ns_goal *g)
{
	g->y = y;
	NS_TRY(total(d, y, weight, &g->loss));
	return ns_dag_fill(d, NS_F32, &ns_dag_at(d, y)->box, weight / batch, &g->dy);
}

/* The first output, of so many axes, as f32. */
static enum ns_status first_output(struct ns_dag *d, const struct ns_model *m, const int *outputs, int *y)
{
	if (outputs[0] < 0 || ns_dag_is_constant(d, outputs[0]) || !ns_dtype_is_float(ns_dag_at(d, outputs[0])->dtype))
		return ns_fail(NS_CONFIG, "%s: its first output has no numbers that depend on the image", m->onnx->path);
	return ns_dag_cast(d, outputs[0], NS_F32, y);
}

/* (n, numbers with names) */
static enum ns_status rows_of_names(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, int *y, int *logits)
{
	int x;

	NS_TRY(first_output(d, m, outputs, y));
	if (ns_box_count(&ns_dag_at(d, *y)->box) != (int64_t)n * m->class_count)
		return ns_fail(NS_CONFIG, "%s: its first output has %lld numbers, and the model %d names", m->onnx->path,
			       (long long)(ns_box_count(&ns_dag_at(d, *y)->box) / n), m->class_count);
	NS_TRY(ns_goal_before_sigmoid(d, *y, &x));
	*logits = x == *y;
	return ns_dag_view(d, x, &(struct ns_box){2, {n, m->class_count}}, y);
}

/* --- tags, and masks of one channel: log(1 + exp(x)) - x t, where t is known --- */

static enum ns_status binary(struct ns_dag *d, int x, int t, int known, double weight, int batch, struct ns_goal *g)
{
	static const double none[] = {0}, half[] = {0.5};
	int y, product, right, said;

	NS_TRY(ns_dag_formula(d, NS_PW_SOFTPLUS, &x, 1, NS_F32, &y));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){x, t}, 2, NS_F32, &product));
	NS_TRY(ns_dag_formula(d, NS_PW_SUB, (int[]){y, product}, 2, NS_F32, &y));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){y, known}, 2, NS_F32, &y));
	NS_TRY(ns_dag_formula_of(d, NS_PW_LESS_EQUAL, x, none, 1, NS_F32, &right));
	NS_TRY(ns_dag_formula_of(d, NS_PW_LESS_EQUAL, t, half, 1, NS_F32, &said));
	NS_TRY(ns_dag_formula(d, NS_PW_EQUAL, (int[]){right, said}, 2, NS_F32, &right));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){right, known}, 2, NS_F32, &right));
	NS_TRY(total(d, right, weight, &g->hits));
	return add_up(d, y, weight, batch, g);
}

static enum ns_status tags(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			   struct ns_goal *g)
{
	const struct ns_box one = {0};
	int x, t, known, logits;

	(void)loss;
	NS_TRY(rows_of_names(d, m, n, outputs, &x, &logits));
	g->target = (struct ns_target){NS_TASK_TAGS, m->class_count, 1, 1, logits, !logits};
	NS_TRY(ns_dag_input(d, NS_F32, &(struct ns_box){2, {n, m->class_count}}, &t));
	NS_TRY(ns_dag_constant(d, NS_F32, &one, (float[]){1}, &known));
	return binary(d, x, t, known, 1.0 / m->class_count, batch, g);
}

/* --- numbers: m (|x - t| - m / 2) with m = min(|x - t|, 1); of one that nobody said x itself is the truth --- */

static enum ns_status regress(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			      struct ns_goal *g)
{
	static const double one[] = {1}, half[] = {0.5}, none[] = {NAN};
	int x, t, same, apart, least, part, y;

	(void)loss;
	NS_TRY(first_output(d, m, outputs, &x));
	NS_TRY(rows_of_names(d, m, n, outputs, &y, &same)); /* what is not named is refused */
	NS_TRY(ns_dag_view(d, x, &(struct ns_box){2, {n, m->class_count}}, &x));
	g->target = (struct ns_target){NS_TASK_REGRESS, m->class_count, 1, 1, 0, 0};
	NS_TRY(ns_dag_input(d, NS_F32, &(struct ns_box){2, {n, m->class_count}}, &t));
	NS_TRY(ns_dag_formula(d, NS_PW_EQUAL, (int[]){t, t}, 2, NS_F32, &same));
	NS_TRY(ns_dag_formula(d, NS_PW_WHERE, (int[]){same, t, x}, 3, NS_F32, &t));
	NS_TRY(ns_dag_formula(d, NS_PW_SUB, (int[]){x, t}, 2, NS_F32, &apart));
	NS_TRY(ns_dag_formula(d, NS_PW_ABS, &apart, 1, NS_F32, &apart));
	NS_TRY(ns_dag_formula_of(d, NS_PW_MIN, apart, one, 1, NS_F32, &least));
	NS_TRY(ns_dag_formula_of(d, NS_PW_MUL, least, half, 1, NS_F32, &part));
	NS_TRY(ns_dag_formula(d, NS_PW_SUB, (int[]){apart, part}, 2, NS_F32, &part));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){least, part}, 2, NS_F32, &y));
	NS_TRY(ns_dag_fill(d, NS_F32, &(struct ns_box){1, {1}}, none[0], &g->hits));
	return add_up(d, y, 1.0 / m->class_count, batch, g);
}

/* --- a class a pixel --- */

/* 1 where a label is not below 0. */
static enum ns_status is_known(struct ns_dag *d, int labels, int *known)
{
	static const double none[] = {0};

	NS_TRY(ns_dag_formula_of(d, NS_PW_LESS, labels, none, 1, NS_F32, known));
	return ns_dag_formula_of(d, NS_PW_EQUAL, *known, none, 1, NS_F32, known);
}

/* Masks of one channel: a pixel is of class 1 or not. */
static enum ns_status one_channel(struct ns_dag *d, int x, int n, int batch, struct ns_goal *g)
{
	static const double one[] = {1};
	const int64_t pixels = (int64_t)g->target.h * g->target.w;
	int labels, t, known, z;

	NS_TRY(ns_goal_before_sigmoid(d, x, &z));
	g->target.logits = z == x;
	g->target.probabilities = z != x;
	x = z;
	NS_TRY(ns_dag_view(d, x, &(struct ns_box){2, {n, pixels}}, &x));
	NS_TRY(ns_dag_input(d, NS_I32, &(struct ns_box){2, {n, pixels}}, &labels));
	NS_TRY(ns_dag_formula_of(d, NS_PW_EQUAL, labels, one, 1, NS_F32, &t));
	NS_TRY(is_known(d, labels, &known));
	return binary(d, x, t, known, 1.0 / (double)pixels, batch, g);
}

/* The share of a sum that both have: Dice 2 both / (p + t), IoU both / (p + t - both), 1 on either side for classes that are not there. */
static enum ns_status overlap(struct ns_dag *d, int both, int p, int t, int iou, int *y)
{
	const int parts[3] = {both, p, t};
	struct ns_program q;
	int r[3], one, two, above, below, k;

	ns_program_begin(&q);
	for (k = 0; k < 3; k++)
		r[k] = ns_program_input(&q, parts[k]);
	one = ns_program_constant(&q, 1);
	two = ns_program_constant(&q, iou ? 1 : 2);
	above = ns_program_step(&q, NS_PW_MUL, r[0], two, 0);
	above = ns_program_step(&q, NS_PW_ADD, above, one, 0);
	below = ns_program_step(&q, NS_PW_ADD, r[1], r[2], 0);
	below = ns_program_step(&q, NS_PW_ADD, below, one, 0);
	if (iou)
		below = ns_program_step(&q, NS_PW_SUB, below, r[0], 0);
	ns_program_step(&q, NS_PW_DIV, above, below, 0);
	return ns_dag_program(d, &q, NS_F32, y);
}

/* 1 less the mean overlap of classes, of each image. x: (n, classes, h, w) */
static enum ns_status overlaps(struct ns_dag *d, int x, int n, int classes, int iou, int batch, struct ns_goal *g)
{
	const struct ns_box map = {4, {n, 1, g->target.h, g->target.w}};
	int32_t order[256];
	int labels, names, p, t, known, both, sum_p, sum_t, best, y, k;

	for (k = 0; k < classes; k++)
		order[k] = k;
	NS_TRY(ns_dag_input(d, NS_I32, &map, &labels));
	NS_TRY(ns_dag_constant(d, NS_I32, &(struct ns_box){4, {1, classes, 1, 1}}, order, &names));
	NS_TRY(ns_dag_formula(d, NS_PW_EQUAL, (int[]){labels, names}, 2, NS_F32, &t));
	NS_TRY(is_known(d, labels, &known));
	NS_TRY(ns_dag_along(d, x, NS_ALONG_SOFTMAX, 1, 2, &p));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){p, t}, 2, NS_F32, &both));
	NS_TRY(ns_dag_formula(d, NS_PW_MUL, (int[]){p, known}, 2, NS_F32, &p));
	NS_TRY(ns_dag_reduce(d, both, NS_REDUCE_SUM, 12, 1, &both));
	NS_TRY(ns_dag_reduce(d, p, NS_REDUCE_SUM, 12, 1, &sum_p));
	NS_TRY(ns_dag_reduce(d, t, NS_REDUCE_SUM, 12, 1, &sum_t));
	NS_TRY(overlap(d, both, sum_p, sum_t, iou, &y));
	NS_TRY(ns_dag_reduce(d, y, NS_REDUCE_MEAN, 2, 1, &y));
	NS_TRY(ns_dag_formula_of(d, NS_PW_NEG, y, NULL, 0, NS_F32, &y));
	NS_TRY(ns_dag_formula_of(d, NS_PW_ADD, y, (double[]){1}, 1, NS_F32, &y));
	NS_TRY(ns_dag_reduce(d, x, NS_REDUCE_ARGMAX, 2, 1, &best));
	NS_TRY(ns_dag_formula(d, NS_PW_EQUAL, (int[]){best, labels}, 2, NS_F32, &best));
	NS_TRY(total(d, best, 1.0 / (double)ns_box_count(&map) * n, &g->hits));
	return add_up(d, y, 1, batch, g);
}

static enum ns_status segment(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			      struct ns_goal *g)
{
	struct ns_box b;
	int64_t pixels;
	int x, classes;

	NS_TRY(first_output(d, m, outputs, &x));
	b = ns_dag_at(d, x)->box;
	if (b.rank != 4 || b.dim[0] != n || b.dim[1] > 255)
		return ns_fail(NS_CONFIG, "%s: its first output is no map (n, classes, h, w) of up to 255 classes", m->onnx->path);
	classes = (int)b.dim[1];
	pixels = b.dim[2] * b.dim[3];
	g->target = (struct ns_target){NS_TASK_SEGMENT, (int)pixels, (int)b.dim[2], (int)b.dim[3], 0, 0};
	if (classes == 1)
		return loss->kind == NS_LOSS_SOFTMAX ? one_channel(d, x, n, batch, g)
						     : ns_fail(NS_CONFIG, "%s: a mask of one channel has the loss binary alone", m->onnx->path);
	NS_TRY(ns_goal_before_softmax(d, x, classes, pixels, &x));
	if (loss->kind != NS_LOSS_SOFTMAX)
		return overlaps(d, x, n, classes, loss->kind == NS_LOSS_IOU, batch, g);
	NS_TRY(ns_dag_transpose(d, x, (const int[]){0, 2, 3, 1}, &x));
	NS_TRY(ns_dag_view(d, x, &(struct ns_box){2, {n * pixels, classes}}, &x));
	NS_TRY(cross_entropy(d, x, n * pixels, classes, loss, batch * pixels, g));
	NS_TRY(total(d, g->loss, 1.0 / (double)pixels, &g->loss));
	return total(d, g->hits, 1.0 / (double)pixels, &g->hits);
}

/* --- texts --- */

static enum ns_status read_text(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
				struct ns_goal *g)
{
	const char *blank = ns_json_text(json_object_get(m->facts, "decode"), "blank");
	const struct ns_box one = {1, {1}};
	struct ns_op op = {.kind = NS_OP_CTC};
	struct ns_op_ctc *v = &op.u.ctc;
	struct ns_box b;
	int in[2], out[3], x, turned = 0;

	(void)loss;
	NS_TRY(first_output(d, m, outputs, &x));
	b = ns_dag_at(d, x)->box;
	if (b.rank == 3 && b.dim[0] != n && b.dim[1] == n) { /* steps first */
		NS_TRY(ns_goal_before_softmax(d, x, (int)b.dim[2], 1, &x));
		NS_TRY(ns_dag_transpose(d, x, (const int[]){1, 0, 2}, &x));
		b = ns_dag_at(d, x)->box;
		turned = 1;
	}
	if (b.rank != 3 || b.dim[0] != n || b.dim[2] != m->class_count + 1)
		return ns_fail(NS_CONFIG, "%s: its first output is no list (1, steps, symbols) of %d symbols, a blank among them", m->onnx->path,
			       m->class_count + 1);
	*v = (struct ns_op_ctc){.n = n, .t = b.dim[1], .k = b.dim[2], .scale = 1.0f / (float)batch};
	v->most = v->t;
	v->blank = blank && !strcmp(blank, "last") ? (int)v->k - 1 : 0;
	g->target = (struct ns_target){NS_TASK_READ, (int)v->t, 1, (int)v->t, 0, 0};
	if (!turned)
		NS_TRY(ns_goal_before_softmax(d, x, (int)v->k, 1, &x));
	NS_TRY(ns_dag_view(d, x, &(struct ns_box){3, {n, v->t, v->k}}, &in[NS_CTC_X]));
	NS_TRY(ns_dag_input(d, NS_I32, &(struct ns_box){2, {n, v->most}}, &in[NS_CTC_TEXT]));
	NS_TRY(ns_dag_value(d, NS_F32, &(struct ns_box){3, {n, v->t, v->k}}, in, 2, &out[NS_CTC_DX]));
	NS_TRY(ns_dag_value(d, NS_F32, &one, in, 2, &out[NS_CTC_LOSS]));
	NS_TRY(ns_dag_value(d, NS_F32, &one, in, 2, &out[NS_CTC_HITS]));
	g->y = in[NS_CTC_X];
	g->dy = out[NS_CTC_DX];
	g->loss = out[NS_CTC_LOSS];
	g->hits = out[NS_CTC_HITS];
	return ns_dag_add(d, &op, in, 2, out, 3);
}

/* --- the table --- */

static const struct {
	enum ns_task task;
	unsigned losses; /* bits; the first is what it has where nobody says one */
	enum ns_status (*add)(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			      struct ns_goal *g);
} rows[] = {
	{NS_TASK_CLASSIFY, 1u << NS_LOSS_SOFTMAX, classify},
	{NS_TASK_TAGS, 1u << NS_LOSS_BINARY, tags},
	{NS_TASK_REGRESS, 1u << NS_LOSS_SMOOTH_L1, regress},
	{NS_TASK_SEGMENT, 1u << NS_LOSS_SOFTMAX | 1u << NS_LOSS_DICE | 1u << NS_LOSS_IOU, segment},
	{NS_TASK_READ, 1u << NS_LOSS_CTC, read_text},
};

int ns_task_trains(enum ns_task task)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].task == task)
			return 1;
	return 0;
}

int ns_task_has_loss(enum ns_task task, enum ns_loss_kind kind)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].task == task)
			return rows[i].losses >> kind & 1;
	return 0;
}

enum ns_status ns_goal_add(struct ns_dag *d, const struct ns_model *m, int n, const int *outputs, const struct ns_loss *loss, int batch,
			   struct ns_goal *g)
{
	const enum ns_task task = m->net.arch.task;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].task == task && rows[i].losses >> loss->kind & 1)
			return rows[i].add(d, m, n, outputs, loss, batch, g);
	return ns_fail(NS_CONFIG, "%s: of the task %s there is no such training here", m->onnx->path, ns_task_name(task));
}
