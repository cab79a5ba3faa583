/*
 * kernels/cpu/winograd.c - convolutions of 3 x 3 with channels last, by tiles of 2 x 2 results: Winograd's F(2 x 2, 3 x 3) (Lavin, Gray 2016, "Fast Algorithms for
 * Convolutional Neural Networks"), with 16 products where the sums themselves have 36. Weights are transformed once. Each result has the same sums in the same order
 * wherever its tile stands, so its bits depend on no strip and no batch.
 */
#include "kernels/cpu/convolve_inner.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/packed.h"

#define POINTS	       16	 /* of a transformed tile */
#define STRIP_FLOATS   (1 << 17) /* of transformed tiles, of the image and of the result: they stay in the second-level cache */
#define TILES_LEAST    14	 /* of a strip: each number of the weights that is read meets so many */
#define CHANNELS_LEAST 16	 /* below, transforming costs more than it saves */

int ns_cpu_takes_winograd(const struct ns_op_convolve *v)
{
	const struct ns_window *w = &v->window;
	int d;

	if (!ns_cpu_takes_last(v) || v->groups != 1 || v->c < CHANNELS_LEAST || v->k < CHANNELS_LEAST)
		return 0;
	for (d = 0; d < 2; d++)
		if (w->kernel[d] != 3 || w->stride[d] != 1 || w->dilation[d] != 1 || w->pad[d] > 2 || w->out[d] < 4)
			return 0;
	return 1;
}

size_t ns_cpu_winograd_weights(const struct ns_op_convolve *v)
{
	return sizeof(float) * POINTS * (size_t)(ns_packed_count(v, 9) / 9);
}

/* G g G': rows of 3 become rows of 4. */
static void expand(v16f a, v16f b, v16f c, v16f to[4])
{
	to[0] = a;
	to[1] = (a + b + c) * 0.5f;
	to[2] = (a - b + c) * 0.5f;
	to[3] = c;
}

void ns_cpu_winograd_prepare(const struct ns_op_convolve *v, const float *w, float *to)
{
	int64_t blocks = (v->k + NS_PACKED - 1) / NS_PACKED, each = v->c * NS_PACKED, point = blocks * each, b, c;
	int i, j;

	for (b = 0; b < blocks; b++)
		for (c = 0; c < v->c; c++) {
			const float *from = w + b * 9 * each + c * NS_PACKED;
			v16f rows[3][4], all[4];

			for (i = 0; i < 3; i++)
				expand(v16_load_f32(from + 3 * i * each, 16), v16_load_f32(from + (3 * i + 1) * each, 16),
				       v16_load_f32(from + (3 * i + 2) * each, 16), rows[i]);
			for (j = 0; j < 4; j++) {
				expand(rows[0][j], rows[1][j], rows[2][j], all);
				for (i = 0; i < 4; i++)
					v16_store_f32(to + (4 * i + j) * point + b * each + c * NS_PACKED, all[i], 16);
			}
		}
}

/* Tiles of an image, and how many of them a strip has. */
struct tiles {
	int64_t across, all, strip;
};

static struct tiles tiles_of(const struct ns_op_convolve *v)
{
	struct tiles t = {(v->window.out[1] + 1) / 2, 0, STRIP_FLOATS / POINTS / (v->c + v->k)};

	t.all = t.across * ((v->window.out[0] + 1) / 2);
	t.strip = t.strip < TILES_LEAST ? TILES_LEAST : t.strip / TILES_LEAST * TILES_LEAST;
	t.strip = t.strip < t.all ? t.strip : t.all;
	return t;
}

size_t ns_cpu_winograd_bytes(const struct ns_op_convolve *v)
{
	return sizeof(float) * (size_t)(POINTS * tiles_of(v).strip * (v->c + v->k) + v->c);
}

/* B' d B of sixteen channels: at[] are the 4 x 4 pixels, point p goes to to + p * apart. */
static inline void transform(const float *const at[POINTS], int64_t c, int lanes, float *to, int64_t apart)
{
	v16f t[4][4];
	int i, j;

	for (j = 0; j < 4; j++) {
		const v16f a = v16_load_f32(at[j] + c, lanes), b = v16_load_f32(at[4 + j] + c, lanes), d = v16_load_f32(at[8 + j] + c, lanes),
			   e = v16_load_f32(at[12 + j] + c, lanes);

		t[0][j] = a - d;
		t[1][j] = b + d;
		t[2][j] = d - b;
		t[3][j] = b - e;
	}
	for (i = 0; i < 4; i++) {
		v16_store_f32(to + (4 * i) * apart + c, t[i][0] - t[i][2], lanes);
		v16_store_f32(to + (4 * i + 1) * apart + c, t[i][1] + t[i][2], lanes);
		v16_store_f32(to + (4 * i + 2) * apart + c, t[i][2] - t[i][1], lanes);
		v16_store_f32(to + (4 * i + 3) * apart + c, t[i][1] - t[i][3], lanes);
	}
}

/* Tiles [begin, end) of an image, (point, tile, channel). What lies outside of the image is in `zeros`. */
static void transform_tiles(const struct ns_op_convolve *v, int64_t begin, int64_t end, const float *x, const float *zeros, float *to)
{
	const struct ns_window *w = &v->window;
	int64_t across = tiles_of(v).across, apart = (end - begin) * v->c, t, c;

	for (t = begin; t < end; t++, to += v->c) {
		int64_t row = t / across * 2 - w->pad[0], column = t % across * 2 - w->pad[1];
		const float *at[POINTS];
		int i;

		for (i = 0; i < POINTS; i++) {
			int64_t r = row + i / 4, q = column + i % 4;

			at[i] = r >= 0 && r < w->in[0] && q >= 0 && q < w->in[1] ? x + (r * w->in[1] + q) * v->c : zeros;
		}
		for (c = 0; c + 16 <= v->c; c += 16)
			transform(at, c, 16, to, apart);
		if (c < v->c)
			transform(at, c, (int)(v->c - c), to, apart);
	}
}

/* A' m A of sixteen output channels, and the bias: the four results of a tile. */
static inline void results(const float *from, int64_t apart, int64_t k, int lanes, v16f bias, v16f y[2][2])
{
	v16f t[2][4];
	int j;

	for (j = 0; j < 4; j++) {
		const v16f a = v16_load_f32(from + j * apart + k, lanes), b = v16_load_f32(from + (4 + j) * apart + k, lanes),
			   c = v16_load_f32(from + (8 + j) * apart + k, lanes), d = v16_load_f32(from + (12 + j) * apart + k, lanes);

		t[0][j] = a + b + c;
		t[1][j] = b - c - d;
	}
	for (j = 0; j < 2; j++) {
		y[j][0] = t[j][0] + t[j][1] + t[j][2] + bias;
		y[j][1] = t[j][1] - t[j][2] - t[j][3] + bias;
	}
}

static void write_tiles(const struct ns_op_convolve *v, int64_t begin, int64_t end, const float *from, const float *bias, float *y)
{
	const struct ns_window *w = &v->window;
	int64_t across = tiles_of(v).across, apart = (end - begin) * v->k, t, k;

	for (t = begin; t < end; t++, from += v->k) {
		int64_t row = t / across * 2, column = t % across * 2;
		float *to = y + (row * w->out[1] + column) * v->k;

		for (k = 0; k < v->k; k += 16) {
			int lanes = v->k - k < 16 ? (int)(v->k - k) : 16;
			v16f four[2][2];

			results(from, apart, k, lanes, bias ? v16_load_f32(bias + k, lanes) : v16_set(0), four);
			v16_store_f32(to + k, four[0][0], lanes);
			if (column + 1 < w->out[1])
				v16_store_f32(to + v->k + k, four[0][1], lanes);
			if (row + 1 < w->out[0])
				v16_store_f32(to + w->out[1] * v->k + k, four[1][0], lanes);
			if (row + 1 < w->out[0] && column + 1 < w->out[1])
				v16_store_f32(to + (w->out[1] + 1) * v->k + k, four[1][1], lanes);
		}
	}
}

/* args->in[NS_CONVOLVE_W]: what ns_cpu_winograd_prepare() made */
void ns_cpu_winograd_run(const struct ns_op_convolve *v, const struct ns_args *a, const struct ns_cpu_after *after)
{
	const struct ns_window *w = &v->window;
	const float *x = a->in[NS_CONVOLVE_X], *weights = a->in[NS_CONVOLVE_W], *bias = v->bias ? a->in[NS_CONVOLVE_B] : NULL;
	int64_t point = (int64_t)(ns_cpu_winograd_weights(v) / sizeof(float)) / POINTS, row = w->out[1] * v->k, n, begin, end, done, ready, p;
	struct tiles t = tiles_of(v);
	float *zeros = a->workspace, *seen = zeros + v->c, *made = seen + POINTS * t.strip * v->c, *y = a->out[NS_CONVOLVE_Y];

	memset(zeros, 0, sizeof *zeros * (size_t)v->c);
	for (n = 0; n < v->n; n++, x += w->in[0] * w->in[1] * v->c)
		for (begin = 0, done = 0; begin < t.all; begin = end, done = ready) {
			float *image = y + n * w->out[0] * row;

			end = begin + t.strip < t.all ? begin + t.strip : t.all;
			transform_tiles(v, begin, end, x, zeros, seen);
			for (p = 0; p < POINTS; p++)
				ns_cpu_rows(end - begin, v->c, v->k, seen + p * (end - begin) * v->c, weights + p * point,
					    made + p * (end - begin) * v->k);
			write_tiles(v, begin, end, made, bias, image);
			ready = end == t.all ? w->out[0] : end / t.across * 2; /* rows */
			ns_cpu_done(after, (n * w->out[0] + done) * row, (n * w->out[0] + ready) * row);
		}
}

static enum ns_status winograd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	(void)queue;
	ns_cpu_winograd_run(&ns_cpu_op(plan)->u.convolve, a, NULL);
	return NS_OK;
}

static void prepare(const struct ns_plan *plan, const void *weights, void *prepared)
{
	ns_cpu_winograd_prepare(&ns_cpu_op(plan)->u.convolve, weights, prepared);
}

static enum ns_status winograd_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_convolve *v = &op->u.convolve;

	(void)dev;
	if (!ns_cpu_takes_winograd(v))
		return NS_DECLINED;
	NS_TRY(ns_plain_plan_make(plan, op, ns_cpu_winograd_bytes(v), winograd_run));
	(*plan)->prepared_bytes = ns_cpu_winograd_weights(v);
	(*plan)->prepare = prepare;
	return NS_OK;
}

const struct ns_impl ns_cpu_winograd = {"convolve/winograd", NS_OP_CONVOLVE, winograd_make};
