/*
 * kernels/cpu/convolve_last.c - convolution of channels-last images: a tile of places by output channels stays in registers while the taps of a kernel go by, each of which
 * is one number of the image times a vector of packed weights. Where windows reach outside, the rows that a strip of outputs reads are copied first, with their padding.
 * Each result is its bias and then its taps in their order, so its bits depend on no tile.
 */
#include "kernels/cpu/convolve_inner.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/packed.h"

#if defined(__AVX512F__) /* of 32 registers 28 hold sums */
#define PLACES	14
#define VECTORS 2
#else
#define PLACES	6
#define VECTORS 1
#endif
/* Floats of a strip of the image and of its result, which stays in the second-level cache: all output channels read it, one pair of vectors after the other. */
#define STRIP_FLOATS (1 << 15)

/* Steps in floats: between places, kernel rows and kernel columns of x, blocks of weights, places of y. A run is numbers of x that lie side by side. */
struct steps {
	int64_t place, row, column, run, rows, columns, block, y;
	int lanes; /* of the last vector */
};

static inline __attribute__((always_inline)) void tile(const int places, const int vectors, const struct steps *t, const float *x, const float *w,
						       const float *bias, float *y)
{
	v16f sum[PLACES][VECTORS];
	int64_t r, s, c;
	int i, v;

	for (v = 0; v < vectors; v++) {
		const v16f start = bias ? v16_load_f32(bias + 16 * v, v == vectors - 1 ? t->lanes : 16) : v16_set(0);

		for (i = 0; i < places; i++)
			sum[i][v] = start;
	}
	for (r = 0; r < t->rows; r++)
		for (s = 0; s < t->columns; s++) {
			const float *from = x + r * t->row + s * t->column;

			for (c = 0; c < t->run; c++, w += NS_PACKED) {
				v16f weights[VECTORS];

				for (v = 0; v < vectors; v++)
					weights[v] = v16_load_f32(w + v * t->block, 16);
#pragma GCC unroll 14
				for (i = 0; i < places; i++) {
					const v16f one = v16_set(from[i * t->place + c]);

					for (v = 0; v < vectors; v++)
						sum[i][v] = v16_fma(one, weights[v], sum[i][v]);
				}
			}
		}
	for (i = 0; i < places; i++)
		for (v = 0; v < vectors; v++)
			v16_store_f32(y + i * t->y + v * 16, sum[i][v], v == vectors - 1 ? t->lanes : 16);
}

typedef void tile_function(const struct steps *t, const float *x, const float *w, const float *bias, float *y);

#define TILE(places, vectors)                                                                                                                        \
	static void tile_##places##_##vectors(const struct steps *t, const float *x, const float *w, const float *bias, float *y)                    \
	{                                                                                                                                            \
		tile(places, vectors, t, x, w, bias, y);                                                                                             \
	}
#define SIX(m, vectors)	      m(1, vectors) m(2, vectors) m(3, vectors) m(4, vectors) m(5, vectors) m(6, vectors)
#define EIGHT(m, vectors)     m(7, vectors) m(8, vectors) m(9, vectors) m(10, vectors) m(11, vectors) m(12, vectors) m(13, vectors) m(14, vectors)
#define NAME(places, vectors) tile_##places##_##vectors,

SIX(TILE, 1)
#if PLACES == 14
EIGHT(TILE, 1)
SIX(TILE, 2)
EIGHT(TILE, 2)
static tile_function *const tiles[VECTORS][PLACES] = {{SIX(NAME, 1) EIGHT(NAME, 1)}, {SIX(NAME, 2) EIGHT(NAME, 2)}};
#else
static tile_function *const tiles[VECTORS][PLACES] = {{SIX(NAME, 1)}};
#endif

/* A line of places, in tiles of about one size. */
static void line(const struct steps *t, int vectors, int64_t places, const float *x, const float *w, const float *bias, float *y)
{
	int64_t many = (places + PLACES - 1) / PLACES, i, n;

	for (i = 0; i < many; i++, x += n * t->place, y += n * t->y) {
		n = places / many + (i < places % many);
		tiles[vectors - 1][n - 1](t, x, w, bias, y);
	}
}

/* What a strip needs to know of its group: lines of places, so far apart in x and y. */
struct strip {
	int64_t lines, places, x_line, y_line;
};

/* All output channels of a group for one strip. */
static void channels(const struct ns_op_convolve *v, struct steps *t, const struct strip *s, const float *x, const float *w, const float *bias,
		     float *y)
{
	int64_t k, p;

	for (k = 0; k < v->k; k += VECTORS * 16) {
		int64_t left = v->k - k;
		int vectors = left > (VECTORS - 1) * 16 ? VECTORS : (int)((left + 15) / 16);

		t->lanes = left >= vectors * 16 ? 16 : (int)(left - (vectors - 1) * 16);
		for (p = 0; p < s->lines; p++)
			line(t, vectors, s->places, x + p * s->x_line, w + k / 16 * t->block, bias ? bias + k : NULL, y + p * s->y_line + k);
	}
}

/* Columns of the image that a line of outputs spans. */
static int64_t span_of(const struct ns_window *w, int d, int64_t outputs)
{
	return (outputs - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
}

static int is_inside(const struct ns_window *w)
{
	return !w->pad[0] && !w->pad[1] && span_of(w, 0, w->out[0]) <= w->in[0] && span_of(w, 1, w->out[1]) <= w->in[1];
}

/* Rows [first, first + rows) of a group's channels, padded: (rows, wide, c). */
static void padded(const struct ns_op_convolve *v, const float *x, int64_t first, int64_t rows, int64_t wide, float *to)
{
	const struct ns_window *w = &v->window;
	int64_t all = v->groups * v->c, before = w->pad[1] < wide ? w->pad[1] : wide, inner = wide - before < w->in[1] ? wide - before : w->in[1], r,
		q;

	for (r = first; r < first + rows; r++, to += wide * v->c) {
		if (r < 0 || r >= w->in[0]) {
			memset(to, 0, sizeof *to * (size_t)(wide * v->c));
			continue;
		}
		memset(to, 0, sizeof *to * (size_t)(before * v->c));
		if (v->groups == 1)
			memcpy(to + before * v->c, x + r * w->in[1] * all, sizeof *to * (size_t)(inner * v->c));
		else
			for (q = 0; q < inner; q++)
				memcpy(to + (before + q) * v->c, x + (r * w->in[1] + q) * all, sizeof *to * (size_t)v->c);
		memset(to + (before + inner) * v->c, 0, sizeof *to * (size_t)((wide - before - inner) * v->c));
	}
}

/* Output rows of a strip. */
static int64_t strip_rows(const struct ns_op_convolve *v)
{
	const struct ns_window *w = &v->window;
	int64_t row = span_of(w, 1, w->out[1]) * v->c, rows = (STRIP_FLOATS / row - span_of(w, 0, 1)) / w->stride[0] + 1,
		made = STRIP_FLOATS / (w->out[1] * v->k);

	rows = rows < made ? rows : made;
	return rows < 1 ? 1 : rows < w->out[0] ? rows : w->out[0];
}

/* What a group reads, and where it writes: element `at` of the result. */
struct job {
	const float *x, *w, *bias;
	float *y, *workspace;
	int64_t at;
	const struct ns_cpu_after *after;
};

/* One group of one image, a strip of rows after the other. */
static void image(const struct ns_op_convolve *v, struct job j)
{
	const struct ns_window *o = &v->window;
	int64_t all = v->groups * v->c, wide = span_of(o, 1, o->out[1]), height = strip_rows(v), p;
	int inside_all = is_inside(o), side_by_side = o->dilation[1] == 1 && (!inside_all || v->groups == 1);
	int64_t pixel = inside_all ? all : v->c, row = (inside_all ? o->in[1] : wide) * pixel;
	struct steps t = {.place = o->stride[1] * pixel,
			  .row = o->dilation[0] * row,
			  .column = o->dilation[1] * pixel,
			  .run = side_by_side ? o->kernel[1] * v->c : v->c,
			  .rows = o->kernel[0],
			  .columns = side_by_side ? 1 : o->kernel[1],
			  .block = o->kernel[0] * o->kernel[1] * v->c * NS_PACKED,
			  .y = v->groups * v->k};
	struct strip s = {0, o->out[1], o->stride[0] * row, o->out[1] * v->groups * v->k};

	for (p = 0; p < o->out[0]; p += s.lines, j.at += s.lines * s.y_line) {
		s.lines = o->out[0] - p < height ? o->out[0] - p : height;
		if (!inside_all)
			padded(v, j.x, p * o->stride[0] - o->pad[0], span_of(o, 0, s.lines), wide, j.workspace);
		channels(v, &t, &s, inside_all ? j.x + p * s.x_line : j.workspace, j.w, j.bias, j.y + j.at);
		ns_cpu_done(j.after, j.at, j.at + s.lines * s.y_line);
	}
}

/* Kernels of one pixel: all places of all images are one line. */
static void pixels(const struct ns_op_convolve *v, int64_t places, struct job j)
{
	struct steps t = {v->groups * v->c, 0, 0, v->c, 1, 1, v->c * NS_PACKED, v->groups * v->k, 0};
	int64_t p, wide = v->c > v->k ? v->c : v->k, most = STRIP_FLOATS / wide / PLACES * PLACES;
	struct strip s = {1, 0, 0, 0};

	most = most < 2 * PLACES ? 2 * PLACES : most;
	for (p = 0; p < places; p += s.places, j.at += s.places * t.y) {
		s.places = places - p < most ? places - p : most;
		channels(v, &t, &s, j.x + p * t.place, j.w, j.bias, j.y + j.at);
		ns_cpu_done(j.after, j.at, j.at + s.places * t.y);
	}
}

void ns_cpu_rows(int64_t places, int64_t c, int64_t k, const float *x, const float *w, float *y)
{
	const struct ns_op_convolve v = {.c = c, .k = k};
	struct steps t = {c, 0, 0, c, 1, 1, c * NS_PACKED, k, 0};
	const struct strip s = {1, places, 0, 0};

	channels(&v, &t, &s, x, w, NULL, y);
}

void ns_cpu_last_run(const struct ns_op_convolve *v, const struct ns_args *a, const struct ns_cpu_after *after)
{
	struct sizes s = sizes_of(&v->window);
	int64_t n, g, image_x = s.in * v->groups * v->c, image_y = s.out * v->groups * v->k, each = ns_packed_count(v, s.taps) / v->groups;
	struct job j = {.y = a->out[NS_CONVOLVE_Y], .workspace = a->workspace, .after = v->groups == 1 ? after : NULL};

	for (g = 0; g < v->groups; g++) {
		j.w = (const float *)a->in[NS_CONVOLVE_W] + g * each;
		j.bias = v->bias ? (const float *)a->in[NS_CONVOLVE_B] + g * v->k : NULL;
		for (n = 0; n < v->n; n++) {
			j.x = (const float *)a->in[NS_CONVOLVE_X] + n * image_x + g * v->c;
			j.at = n * image_y + g * v->k;
			if (is_plain(&v->window)) {
				pixels(v, v->n * s.out, j);
				break;
			}
			image(v, j);
		}
	}
	if (v->groups > 1)
		ns_cpu_done(after, 0, v->n * image_y);
}

int ns_cpu_takes_last(const struct ns_op_convolve *v)
{
	return v->dtype == NS_F32 && v->last && v->window.axes == 2 && ns_packed_is_near(&v->window) && !ns_packed_is_depthwise(v);
}

size_t ns_cpu_last_bytes(const struct ns_op_convolve *v)
{
	const struct ns_window *w = &v->window;

	return is_inside(w) ? 0 : sizeof(float) * (size_t)(span_of(w, 0, strip_rows(v)) * span_of(w, 1, w->out[1]) * v->c);
}

static enum ns_status last_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	(void)queue;
	ns_cpu_last_run(&ns_cpu_op(plan)->u.convolve, a, NULL);
	return NS_OK;
}

static enum ns_status last_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve *v = &op->u.convolve;

	(void)dev;
	return ns_cpu_takes_last(v) ? ns_plain_plan_make(plan, op, ns_cpu_last_bytes(v), last_run) : NS_DECLINED;
}

const struct ns_impl ns_cpu_convolve_last = {"convolve/last", NS_OP_CONVOLVE, last_make};
