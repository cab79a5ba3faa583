/* kernels/cuda/move.cu - elements to other places: moves, slices by indices, resizing along an axis. A thread an element of what is written. */
#include "kernels/cuda/tensor.cuh"

/* --- MOVE --- */

template <class T> static __global__ void move_plain(const strides from, const strides to, int64_t n, const T *x, T *y)
{
	NS_CUDA_EACH(i, n)
	y[offset_in(to, i)] = x[offset_in(from, i)];
}

static __device__ inline int64_t by_rule(int rule, int64_t p, int64_t size)
{
	int64_t period = rule == NS_MOVE_REFLECT ? 2 * size - 2 : size;

	if (rule == NS_MOVE_EDGE)
		return p < 0 ? 0 : p >= size ? size - 1 : p;
	if (period < 1)
		return 0;
	p = (p % period + period) % period;
	return p >= size ? period - p : p;
}

template <class T> static __global__ void move_by_rule(const struct ns_op_move v, int64_t n, const T *x, T *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t from = v.from, to = v.to, rest = i;
		int d;

		for (d = v.box.rank - 1; d >= 0; d--) {
			int64_t p = rest % v.box.dim[d];

			rest /= v.box.dim[d];
			from += by_rule(v.rule, p + v.begin[d], v.size[d]) * v.from_stride[d];
			to += p * v.to_stride[d];
		}
		y[to] = x[from];
	}
}

template <class T> static void launch_move(const struct ns_args *a, struct ns_op_move v, cudaStream_t stream)
{
	const T *x = (const T *)a->in[NS_MOVE_X];
	T *y = (T *)a->out[NS_MOVE_Y];
	int64_t n = ns_box_count(&v.box);

	if (v.rule != NS_MOVE_PLAIN) {
		NS_LAUNCH((move_by_rule<T>), tensor_grid(n), TENSOR_THREADS, 0, stream, v, n, x, y);
		return;
	}
	ns_move_collapse(&v);
	NS_LAUNCH((move_plain<T>), tensor_grid(n), TENSOR_THREADS, 0, stream, strides_of(&v.box, v.from_stride), strides_of(&v.box, v.to_stride), n,
		  x + v.from, y + v.to);
}

static enum ns_status move_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_move *v = &ns_cuda_op(plan)->u.move;
	cudaStream_t stream = ns_cuda_stream(queue);

	switch (v->bytes) {
	case 1:
		launch_move<uint8_t>(a, *v, stream);
		break;
	case 2:
		launch_move<uint16_t>(a, *v, stream);
		break;
	case 4:
		launch_move<uint32_t>(a, *v, stream);
		break;
	default:
		launch_move<uint64_t>(a, *v, stream);
	}
	return ns_cuda_launched(plan);
}

/* --- INDEX: an index outside cannot be told from a kernel, so it reads and writes nothing: gathered slices are NaN's bytes --- */

struct slices {
	struct ns_op_index v;
	const int64_t *indices;
	/* where slice t lies in the data; -1: outside */
	__device__ int64_t place(int64_t t) const
	{
		int64_t base = 0, from = 0, i;
		int d, l;

		for (d = v.tuples.rank - 1; d >= 0; d--) {
			int64_t p = t % v.tuples.dim[d];

			t /= v.tuples.dim[d];
			base += p * v.base[d];
			from += p * v.at[d];
		}
		for (l = 0; l < v.length; l++) {
			i = indices[from + l * v.next];
			if (i < -v.size[l] || i >= v.size[l])
				return -1;
			base += (i < 0 ? i + v.size[l] : i) * v.stride[l];
		}
		return base;
	}
};

static __global__ void gather(const slices s, int64_t n, int bytes, const uint8_t *data, uint8_t *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t place = s.place(i / s.v.inner);
		int b;

		for (b = 0; b < bytes; b++)
			y[i * bytes + b] = place < 0 ? 0xff : data[(place + i % s.v.inner) * bytes + b];
	}
}

/* One element's new value: they are combined in the order of the tuples, so a thread takes all tuples for one element of a slice. */
static __global__ void scatter(const slices s, int64_t tuples, const void *updates, void *y)
{
	NS_CUDA_EACH(i, s.v.inner)
	for (int64_t t = 0; t < tuples; t++) {
		int64_t place = s.place(t), to = place + i, from = t * s.v.inner + i;
		enum ns_dtype dtype = s.v.dtype;

		if (place < 0)
			continue;
		if (s.v.how == NS_SCATTER_SET && !ns_typed_is_float(dtype)) {
			ns_typed_set_whole(y, dtype, to, ns_typed_get_whole(updates, dtype, from));
		} else if (ns_typed_is_float(dtype)) {
			double a = ns_typed_get(y, dtype, to), b = ns_typed_get(updates, dtype, from);

			ns_typed_set(y, dtype, to,
				     s.v.how == NS_SCATTER_SET	 ? b
				     : s.v.how == NS_SCATTER_ADD ? a + b
				     : s.v.how == NS_SCATTER_MUL ? a * b
				     : s.v.how == NS_SCATTER_MAX ? (a > b ? a : b)
								 : (a < b ? a : b));
		} else {
			int64_t a = ns_typed_get_whole(y, dtype, to), b = ns_typed_get_whole(updates, dtype, from);

			ns_typed_set_whole(y, dtype, to,
					   s.v.how == NS_SCATTER_ADD   ? (int64_t)((uint64_t)a + (uint64_t)b)
					   : s.v.how == NS_SCATTER_MUL ? (int64_t)((uint64_t)a * (uint64_t)b)
					   : s.v.how == NS_SCATTER_MAX ? (a > b ? a : b)
								       : (a < b ? a : b));
		}
	}
}

static enum ns_status index_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_index *v = &ns_cuda_op(plan)->u.index;
	slices s = {*v, (const int64_t *)a->in[NS_INDEX_AT]};
	int bytes = ns_typed_bytes(v->dtype);
	int64_t tuples = ns_box_count(&v->tuples), n = tuples * v->inner;
	cudaStream_t stream = ns_cuda_stream(queue);

	if (v->how == NS_SCATTER_NOT) {
		NS_LAUNCH(gather, tensor_grid(n), TENSOR_THREADS, 0, stream, s, n, bytes, (const uint8_t *)a->in[NS_INDEX_DATA],
			  (uint8_t *)a->out[NS_INDEX_Y]);
		return ns_cuda_launched(plan);
	}
	NS_TRY(ns_cuda_status(
		cudaMemcpyAsync(a->out[NS_INDEX_Y], a->in[NS_INDEX_DATA], (size_t)v->data * (size_t)bytes, cudaMemcpyDeviceToDevice, stream),
		"copy on the GPU"));
	NS_LAUNCH(scatter, tensor_grid(v->inner), TENSOR_THREADS, 0, stream, s, tuples, a->in[NS_INDEX_UPDATES], a->out[NS_INDEX_Y]);
	return ns_cuda_launched(plan);
}

/* --- RESAMPLE --- */

static __global__ void resample(const struct ns_op_resample v, int64_t n, const void *x, const int32_t *index, const float *weight, void *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t inner = i % v.inner, j = i / v.inner % v.m, outer = i / v.inner / v.m;
		double sum = 0;
		int t;

		for (t = 0; t < v.taps; t++) {
			int32_t k = index[j * v.taps + t];

			sum += (double)weight[j * v.taps + t] *
			       (k < 0 ? (double)v.outside : ns_typed_get(x, v.dtype, (outer * v.n + k) * v.inner + inner));
		}
		ns_typed_set(y, v.dtype, i, ns_typed_is_float(v.dtype) ? sum : rint(sum));
	}
}

static enum ns_status resample_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_resample *v = &ns_cuda_op(plan)->u.resample;
	int64_t n = v->outer * v->m * v->inner;

	NS_LAUNCH(resample, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, n, a->in[NS_RESAMPLE_X],
		  (const int32_t *)a->in[NS_RESAMPLE_INDEX], (const float *)a->in[NS_RESAMPLE_WEIGHT], a->out[NS_RESAMPLE_Y]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_move, "move/cuda", NS_OP_MOVE, 1, 0, move_run);
NS_CUDA_IMPL(ns_cuda_index, "index/cuda", NS_OP_INDEX, 1, 0, index_run);
NS_CUDA_IMPL(ns_cuda_resample, "resample/cuda", NS_OP_RESAMPLE, 1, 0, resample_run);
