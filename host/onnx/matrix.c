/* host/onnx/matrix.c - matrices, sums over named axes, recurrent layers. */
#include <string.h>

#include "host/onnx/import_inner.h"

static enum ns_status matmul(struct ns_maker *m)
{
	return ns_dag_matmul(m->dag, m->in[0], m->in[1], 0, ns_maker_in(m, 0)->dtype, &m->out[0]);
}

static enum ns_status gemm(struct ns_maker *m)
{
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	int64_t ta, tb, broadcast;
	double alpha, beta;
	int y, c;

	NS_TRY(ns_maker_int(m, "transA", 0, &ta));
	NS_TRY(ns_maker_int(m, "transB", 0, &tb));
	NS_TRY(ns_maker_int(m, "broadcast", 0, &broadcast));
	NS_TRY(ns_maker_float(m, "alpha", 1, &alpha));
	NS_TRY(ns_maker_float(m, "beta", 1, &beta));
	if (ns_maker_in(m, 0)->box.rank != 2 || ns_maker_in(m, 1)->box.rank != 2)
		return ns_fail(NS_INVALID, "%d and %d axes, expected 2", ns_maker_in(m, 0)->box.rank, ns_maker_in(m, 1)->box.rank);
	NS_TRY(ns_dag_matmul(m->dag, m->in[0], m->in[1], (ta ? 1u : 0) | (tb ? 2u : 0), dtype, &y));
	if (alpha != 1)
		NS_TRY(ns_dag_formula_of(m->dag, NS_PW_MUL, y, &alpha, 1, dtype, &y));
	m->out[0] = y;
	if (!ns_maker_has(m, 2))
		return NS_OK;
	c = m->in[2];
	if (beta != 1)
		NS_TRY(ns_dag_formula_of(m->dag, NS_PW_MUL, c, &beta, 1, dtype, &c));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_ADD, (int[]){y, c}, 2, dtype, &m->out[0]));
	return ns_maker_same_box(m, m->out[0], y);
}

/* x - zero point in i32; rows: the points are of rows */
static enum ns_status centred(struct ns_maker *m, int x, int zero, int rows, int *y)
{
	int64_t n = zero < 0 ? 1 : ns_box_count(&ns_dag_at(m->dag, zero)->box);

	if (zero < 0)
		return ns_dag_cast(m->dag, x, NS_I32, y);
	NS_TRY(ns_dag_view(m->dag, zero, n == 1 ? &(struct ns_box){0} : rows ? &(struct ns_box){2, {n, 1}} : &(struct ns_box){1, {n}}, &zero));
	NS_TRY(ns_dag_formula(m->dag, NS_PW_SUB, (int[]){x, zero}, 2, NS_I32, y));
	return ns_maker_same_box(m, *y, x);
}

static enum ns_status matmul_integer(struct ns_maker *m)
{
	int a, b;

	NS_TRY(centred(m, m->in[0], ns_maker_has(m, 2) ? m->in[2] : -1, 1, &a));
	NS_TRY(centred(m, m->in[1], ns_maker_has(m, 3) ? m->in[3] : -1, 0, &b));
	return ns_dag_matmul(m->dag, a, b, 0, NS_I32, &m->out[0]);
}

/* inputs: a sa za b sb zb sy zy */
static enum ns_status qlinear_matmul(struct ns_maker *m)
{
	int a, b, sum, scale, k;

	for (k = 1; k < 8; k++)
		if (k != 3 && ns_box_count(&ns_maker_in(m, k)->box) != 1)
			return ns_fail(NS_DECLINED, "scales by rows or columns");
	NS_TRY(centred(m, m->in[0], m->in[2], 1, &a));
	NS_TRY(centred(m, m->in[3], m->in[5], 0, &b));
	NS_TRY(ns_dag_matmul(m->dag, a, b, 0, NS_I32, &sum));
	NS_TRY(ns_dag_view(m->dag, m->in[4], &(struct ns_box){0}, &scale));
	return ns_maker_requantize(m, sum, scale, &m->out[0]);
}

/* --- einsum --- */

struct named { /* axes of one operand, by their letters; in a result the dots take one more */
	unsigned char letter[NS_RANK + 2];
	int n;
};

/* "ij...k": the dots become letters of their own, counted from the last; 200 is the last of them. */
static enum ns_status read_term(const char **at, const char *end, int rank, struct named *t)
{
	int dots = -1, n = 0, i;
	unsigned char letters[NS_RANK];

	while (*at < end && **at != ',' && **at != '-') {
		char c = *(*at)++;

		if (c == ' ')
			continue;
		if (c == '.') {
			if (end - *at < 2 || (*at)[0] != '.' || (*at)[1] != '.' || dots >= 0)
				return ns_fail(NS_INVALID, "dots that are not three");
			*at += 2;
			dots = n;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) || n == NS_RANK)
			return ns_fail(NS_INVALID, "the letter '%c', or more than %d", c, NS_RANK);
		letters[n++] = (unsigned char)c;
	}
	if (rank >= 0 && (dots < 0 ? n != rank : n > rank))
		return ns_fail(NS_INVALID, "%d letters for %d axes", n, rank);
	for (t->n = 0, i = 0; i <= n; i++) {
		int k, extra = i == dots ? (rank < 0 ? 0 : rank - n) : 0;

		for (k = 0; k < extra; k++)
			t->letter[t->n++] = (unsigned char)(200 - (extra - 1 - k));
		if (i == dots && rank < 0)
			t->letter[t->n++] = 255; /* in the result: as many as there are */
		if (i < n)
			t->letter[t->n++] = letters[i];
	}
	return NS_OK;
}

static enum ns_status size_of(const struct named *t, const struct ns_box *box, int64_t *size)
{
	int d;

	for (d = 0; d < t->n; d++) {
		int64_t *s = &size[t->letter[d]];

		if (*s >= 0 && *s != 1 && box->dim[d] != *s && box->dim[d] != 1)
			return ns_fail(NS_INVALID, "an axis of %lld and of %lld", (long long)*s, (long long)box->dim[d]);
		*s = *s < 0 || *s == 1 ? box->dim[d] : *s;
	}
	return NS_OK;
}

/* The stride of a letter in an operand: a diagonal where it is there twice. */
static int64_t stride_of(const struct named *t, const struct ns_box *box, unsigned char letter)
{
	int64_t own[NS_RANK], sum = 0;
	int d;

	ns_box_strides(box, own);
	for (d = 0; d < t->n; d++)
		if (t->letter[d] == letter && box->dim[d] != 1)
			sum += own[d];
	return sum;
}

static enum ns_status contract(struct ns_maker *m, const struct named *t, const struct named *result, const int64_t *size)
{
	struct ns_op op = {.kind = NS_OP_CONTRACT};
	struct ns_op_contract *c = &op.u.contract;
	const struct ns_box a = ns_maker_in(m, 0)->box, b = m->ins > 1 ? ns_maker_in(m, 1)->box : (struct ns_box){0};
	char shown[256] = {0};
	int in[2] = {m->in[0], m->in[1]}, d, k;

	c->dtype = c->out_dtype = ns_maker_in(m, 0)->dtype;
	if (m->ins == 1)
		NS_TRY(ns_dag_fill(m->dag, c->dtype, &(struct ns_box){0}, 1, &in[1]));
	for (d = 0; d < result->n; d++) {
		unsigned char letter = result->letter[d];

		shown[letter] = 1;
		c->out.dim[c->out.rank] = size[letter];
		c->a_out[c->out.rank] = stride_of(&t[0], &a, letter);
		c->b_out[c->out.rank++] = m->ins > 1 ? stride_of(&t[1], &b, letter) : 0;
	}
	for (k = 0; k < m->ins; k++)
		for (d = 0; d < t[k].n; d++) {
			unsigned char letter = t[k].letter[d];

			if (shown[letter])
				continue;
			if (c->sum.rank == NS_RANK)
				return ns_fail(NS_DECLINED, "sums over more than %d axes", NS_RANK);
			shown[letter] = 1;
			c->sum.dim[c->sum.rank] = size[letter];
			c->a_sum[c->sum.rank] = stride_of(&t[0], &a, letter);
			c->b_sum[c->sum.rank++] = m->ins > 1 ? stride_of(&t[1], &b, letter) : 0;
		}
	NS_TRY(ns_dag_value(m->dag, c->dtype, &c->out, in, 2, &m->out[0]));
	return ns_dag_add(m->dag, &op, in, 2, &m->out[0], 1);
}

static enum ns_status einsum(struct ns_maker *m)
{
	struct named t[2], written = {.n = 0}, result = {.n = 0};
	struct ns_onnx_text text;
	int64_t size[256];
	int seen[256] = {0}, k, d, letter;
	const char *at, *end;

	memset(size, 0xff, sizeof size); /* -1: not seen */
	NS_TRY(ns_maker_text(m, "equation", "", &text));
	if (m->ins > 1 && ns_maker_in(m, 0)->dtype != ns_maker_in(m, 1)->dtype)
		return ns_fail(NS_INVALID, "%s and %s", ns_dtype_name(ns_maker_in(m, 0)->dtype), ns_dtype_name(ns_maker_in(m, 1)->dtype));
	at = text.at;
	end = at + text.bytes;
	for (k = 0; k < m->ins; k++) {
		NS_TRY(read_term(&at, end, ns_maker_in(m, k)->box.rank, &t[k]));
		NS_TRY(size_of(&t[k], &ns_maker_in(m, k)->box, size));
		for (d = 0; d < t[k].n; d++)
			seen[t[k].letter[d]]++;
		if (k + 1 < m->ins && (at >= end || *at++ != ','))
			return ns_fail(NS_INVALID, "the equation has fewer terms than inputs");
	}
	if (at < end && *at == '-') {
		if (end - at < 2 || at[1] != '>')
			return ns_fail(NS_INVALID, "an arrow that is none");
		at += 2;
		NS_TRY(read_term(&at, end, -1, &written));
	} else {
		written.letter[written.n++] = 255;
		for (letter = 'A'; letter <= 'z'; letter++)
			if (seen[letter] == 1 && written.n == NS_RANK + 1)
				return ns_fail(NS_DECLINED, "a result of more than %d axes", NS_RANK);
			else if (seen[letter] == 1)
				written.letter[written.n++] = (unsigned char)letter;
	}
	if (at != end)
		return ns_fail(NS_INVALID, "the equation has more terms than inputs");
	for (d = 0; d < written.n; d++) {
		for (letter = 200 - NS_RANK + 1; letter <= 200 && written.letter[d] == 255; letter++)
			if (seen[letter] && result.n == NS_RANK)
				return ns_fail(NS_DECLINED, "a result of more than %d axes", NS_RANK);
			else if (seen[letter])
				result.letter[result.n++] = (unsigned char)letter;
		if (written.letter[d] == 255)
			continue;
		if (seen[written.letter[d]] < 1 || result.n == NS_RANK)
			return ns_fail(NS_INVALID, "the result has the axis '%c' twice, or no input has it", written.letter[d]);
		result.letter[result.n++] = written.letter[d];
		seen[written.letter[d]] = -1;
	}
	return contract(m, t, &result, size);
}

/* --- recurrent layers --- */

/* One direction of an input: (directions, ...) -> (...). */
static enum ns_status of_direction(struct ns_maker *m, int input, int dir, int *y)
{
	struct ns_box box;
	int64_t start[NS_RANK] = {dir}, step[NS_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};

	*y = -1;
	if (!ns_maker_has(m, input))
		return NS_OK;
	box = ns_maker_in(m, input)->box;
	if (box.rank < 2 || box.dim[0] <= dir)
		return ns_fail(NS_INVALID, "input %d has no direction %d", input, dir);
	box.dim[0] = 1;
	NS_TRY(ns_dag_slice(m->dag, m->in[input], start, step, &box, y));
	memmove(box.dim, box.dim + 1, sizeof *box.dim * (size_t)(--box.rank));
	return ns_dag_view(m->dag, *y, &box, y);
}

/* The sizes that the inputs have to have, of one direction; they have the same places for all three kinds. */
static enum ns_status check_sizes(struct ns_maker *m, const struct ns_op_recurrent *v, const int *in)
{
	int64_t gates = v->how == NS_RECURRENT_RNN ? 1 : v->how == NS_RECURRENT_GRU ? 3 : 4;
	const int64_t wanted[] = {
		v->t * v->n * v->i, gates * v->h * v->i, gates * v->h * v->h, 2 * gates * v->h, v->n, v->n * v->h, v->n * v->h, 3 * v->h};
	int k;

	for (k = 0; k < 8; k++)
		if (in[k] >= 0 && ns_box_count(&ns_dag_at(m->dag, in[k])->box) != wanted[k])
			return ns_fail(NS_INVALID, "part %d has %lld elements, expected %lld", k,
				       (long long)ns_box_count(&ns_dag_at(m->dag, in[k])->box), (long long)wanted[k]);
	return NS_OK;
}

static enum ns_status one_direction(struct ns_maker *m, struct ns_op_recurrent v, int dir, int x, int *y, int *h, int *c)
{
	struct ns_op op = {.kind = NS_OP_RECURRENT};
	int in[8], out[3], k;

	for (in[0] = x, k = 1; k < 8; k++) {
		in[k] = -1;
		if (k == NS_RECURRENT_LENGTHS)
			in[k] = ns_maker_has(m, 4) ? m->in[4] : -1;
		else
			NS_TRY(of_direction(m, k, dir, &in[k]));
	}
	for (k = 0; k < 8; k++)
		if (in[k] >= 0 && ns_dag_at(m->dag, in[k])->dtype != (k == NS_RECURRENT_LENGTHS ? NS_I32 : NS_F32))
			return ns_fail(NS_INVALID, "part %d is of %s", k, ns_dtype_name(ns_dag_at(m->dag, in[k])->dtype));
	NS_TRY(check_sizes(m, &v, in));
	for (k = 0; k < 8; k++)
		v.has[k] = in[k] >= 0;
	op.u.recurrent = v;
	NS_TRY(ns_dag_value(m->dag, NS_F32, &(struct ns_box){4, {v.t, 1, v.n, v.h}}, in, 8, &out[0]));
	NS_TRY(ns_dag_value(m->dag, NS_F32, &(struct ns_box){3, {1, v.n, v.h}}, in, 8, &out[1]));
	NS_TRY(ns_dag_value(m->dag, NS_F32, &(struct ns_box){3, {1, v.n, v.h}}, in, 8, &out[2]));
	NS_TRY(ns_dag_add(m->dag, &op, in, 8, out, 3));
	*y = out[0];
	*h = out[1];
	*c = out[2];
	return NS_OK;
}

static enum ns_status settings(struct ns_maker *m, struct ns_op_recurrent *v)
{
	static const int usual[3][3] = {{NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH, NS_PW_TANH}};
	int64_t hidden, reset, couple;

	NS_TRY(ns_maker_int(m, "hidden_size", 0, &hidden));
	NS_TRY(ns_maker_int(m, "linear_before_reset", 0, &reset));
	NS_TRY(ns_maker_int(m, "input_forget", 0, &couple));
	NS_TRY(ns_maker_float(m, "clip", 0, &v->clip));
	v->linear_before_reset = reset != 0;
	v->couple = couple != 0;
	if (ns_maker_attribute(m, "activations") || ns_maker_attribute(m, "activation_alpha") || ns_maker_attribute(m, "activation_beta"))
		return ns_fail(NS_DECLINED, "other activations than the usual ones");
	memcpy(v->code, usual[v->how], sizeof v->code);
	v->h = ns_maker_in(m, 2)->box.rank == 3 ? ns_maker_in(m, 2)->box.dim[2] : 0;
	return v->h > 0 && v->h <= 1 << 20 && (!hidden || hidden == v->h)
		       ? NS_OK
		       : ns_fail(NS_INVALID, "hidden_size %lld, and weights of %lld", (long long)hidden, (long long)v->h);
}

static enum ns_status recurrent(struct ns_maker *m)
{
	static const char *const words[] = {"forward", "reverse", "bidirectional", NULL};
	struct ns_op_recurrent v = {.how = m->row->what};
	int64_t layout;
	int which, dir, n, x = m->in[0], y[2], h[2], c[2], k;
	struct ns_box b;

	NS_TRY(ns_maker_word(m, "direction", words, 0, &which));
	NS_TRY(ns_maker_int(m, "layout", 0, &layout));
	if (ns_maker_in(m, 0)->box.rank != 3 || ns_maker_in(m, 0)->dtype != NS_F32)
		return ns_fail(NS_DECLINED, "sequences of %d axes of %s", ns_maker_in(m, 0)->box.rank, ns_dtype_name(ns_maker_in(m, 0)->dtype));
	for (k = 5; k < 7; k++)
		if (ns_maker_has(m, k) && ns_maker_in(m, k)->box.rank != 3)
			return ns_fail(NS_INVALID, "input %d has %d axes, expected 3", k, ns_maker_in(m, k)->box.rank);
	if (layout) {
		NS_TRY(ns_dag_transpose(m->dag, x, (int[]){1, 0, 2}, &x));
		for (k = 5; k < 7; k++)
			if (ns_maker_has(m, k))
				NS_TRY(ns_dag_transpose(m->dag, m->in[k], (int[]){1, 0, 2}, &m->in[k]));
	}
	b = ns_dag_at(m->dag, x)->box;
	v.t = b.dim[0];
	v.n = b.dim[1];
	v.i = b.dim[2];
	if (v.t > 1 << 20 || v.n > 1 << 20 || v.i > 1 << 20)
		return ns_fail(NS_INVALID, "sequences of %lld x %lld x %lld", (long long)v.t, (long long)v.n, (long long)v.i);
	n = which == 2 ? 2 : 1;
	for (dir = 0; dir < n; dir++) {
		NS_TRY(settings(m, &v));
		v.reverse = which == 1 || dir == 1;
		NS_TRY(one_direction(m, v, dir, x, &y[dir], &h[dir], &c[dir]));
	}
	NS_TRY(ns_dag_concat(m->dag, y, n, 1, &m->out[0]));
	NS_TRY(ns_dag_concat(m->dag, h, n, 0, &m->out[1]));
	NS_TRY(ns_dag_concat(m->dag, c, n, 0, &m->out[2]));
	if (layout) {
		NS_TRY(ns_dag_transpose(m->dag, m->out[0], (int[]){2, 0, 1, 3}, &m->out[0]));
		NS_TRY(ns_dag_transpose(m->dag, m->out[1], (int[]){1, 0, 2}, &m->out[1]));
		NS_TRY(ns_dag_transpose(m->dag, m->out[2], (int[]){1, 0, 2}, &m->out[2]));
	}
	return NS_OK;
}

#define RECURRENT "activation_alpha activation_beta activations clip direction hidden_size layout output_sequence"

const struct ns_onnx_row ns_onnx_matrix[] = {
	{"MatMul", matmul, 2, 2, 0, ""},
	{"Gemm", gemm, 2, 3, 0, "alpha beta transA transB broadcast"},
	{"MatMulInteger", matmul_integer, 2, 4, 0, ""},
	{"QLinearMatMul", qlinear_matmul, 8, 8, 0, ""},
	{"Einsum", einsum, 1, 2, 0, "equation"},
	{"RNN", recurrent, 3, 6, NS_RECURRENT_RNN, RECURRENT},
	{"GRU", recurrent, 3, 6, NS_RECURRENT_GRU, RECURRENT " linear_before_reset"},
	{"LSTM", recurrent, 3, 8, NS_RECURRENT_LSTM, RECURRENT " input_forget"},
	{0},
};
