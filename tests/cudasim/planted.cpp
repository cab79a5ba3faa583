/*
 * tests/cudasim/planted.cpp - kernels with one bug each: planted.sh runs them and expects the simulator, in the mode that is
 * made for it, to find the bug. `planted none` is the same work without a bug, and must pass in every mode.
 */
#include "kernels/cuda/cuda.h"

#include <vector>

#define N 64

static const char *bug;

static int is(const char *name)
{
	return !strcmp(bug, name);
}

/* y[i] = x[N - 1 - i], through shared memory */
static __global__ void reverse(const int *x, int *y, int barrier)
{
	NS_SHARED(int, t, [N]);

	t[threadIdx.x] = x[threadIdx.x];
	if (barrier)
		__syncthreads();
	y[threadIdx.x] = t[N - 1 - threadIdx.x];
}

/* each warp turns its 32 round, with shared memory between lanes */
static __global__ void turn_warps(const int *x, int *y, int barrier)
{
	NS_SHARED(int, t, [N]);
	int w = (int)threadIdx.x / 32 * 32, lane = (int)threadIdx.x % 32;

	t[threadIdx.x] = x[threadIdx.x];
	if (barrier)
		__syncwarp();
	y[w + lane] = t[w + 31 - lane];
}

static __global__ void shift(const int *x, int *y, int by)
{
	y[threadIdx.x] = x[threadIdx.x + by];
}

static __global__ void shared_shift(int *y, int by)
{
	NS_SHARED(int, t, [N]);

	t[threadIdx.x + by] = 1;
	__syncthreads();
	y[threadIdx.x] = t[threadIdx.x];
}

static __global__ void half_written(int *y, int all)
{
	NS_SHARED(int, t, [N]);

	if (all || threadIdx.x < N / 2)
		t[threadIdx.x] = 0;
	__syncthreads();
	y[threadIdx.x] = t[threadIdx.x];
}

static __global__ void leave_early(int *y, int leave)
{
	if (leave && threadIdx.x == 5)
		return;
	__syncthreads();
	y[threadIdx.x] = 1;
}

static __global__ void both_branches(int *y, int split)
{
	if (split && threadIdx.x < 32)
		__syncthreads();
	else
		__syncthreads();
	y[threadIdx.x] = 1;
}

static __global__ void shuffle_left(int *y, int leave)
{
	if (leave && threadIdx.x == 3)
		return;
	y[threadIdx.x] = __shfl_xor_sync(NS_WARP, (int)threadIdx.x, 1);
}

static __global__ void count_blocks(int *y, int atomic)
{
	if (atomic)
		atomicAdd(y, 1);
	else
		y[0] = y[0] + 1;
}

static __global__ void fill(int *y, int v)
{
	y[threadIdx.x] = v;
}

static int *device(const std::vector<int> &values)
{
	void *p;

	if (cudaMalloc(&p, values.size() * sizeof(int)) != cudaSuccess)
		abort();
	cudaMemcpyAsync(p, values.data(), values.size() * sizeof(int), cudaMemcpyHostToDevice, 0);
	return (int *)p;
}

static int expect(const int *p, const std::vector<int> &want, const char *what)
{
	std::vector<int> got(want.size());

	cudaMemcpyAsync(got.data(), p, got.size() * sizeof(int), cudaMemcpyDeviceToHost, 0);
	if (got == want)
		return 0;
	printf("wrong result of %s\n", what);
	return 1;
}

/* a copy on one stream, its use on another: an event orders them, or nothing does */
static int streams()
{
	cudaStream_t a, b;
	cudaEvent_t event;
	int *x = device(std::vector<int>(N, 0)), *y = device(std::vector<int>(N, 0)), bad;

	cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
	cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
	cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
	cudaStreamSynchronize(0);
	NS_LAUNCH(fill, 1, N, 0, a, x, 7);
	cudaEventRecord(event, a);
	if (!is("no-event"))
		cudaStreamWaitEvent(b, event, 0);
	NS_LAUNCH(shift, 1, N, 0, b, (const int *)x, y, 0);
	cudaStreamSynchronize(b);
	bad = expect(y, std::vector<int>(N, 7), "streams");
	cudaStreamSynchronize(a);
	cudaEventDestroy(event);
	cudaStreamDestroy(a);
	cudaStreamDestroy(b);
	cudaFree(x);
	cudaFree(y);
	return bad;
}

/* a graph of a fork and a join; what waits for nothing, or is waited for by nothing, is found */
static int graphs()
{
	cudaStream_t a, b;
	cudaEvent_t fork, join;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	std::vector<int> pageable(N, 7);
	int *x = device(std::vector<int>(N, 0)), *y = device(std::vector<int>(N, 0)), bad;

	cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
	cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
	cudaEventCreateWithFlags(&fork, cudaEventDisableTiming);
	cudaEventCreateWithFlags(&join, cudaEventDisableTiming);
	cudaStreamSynchronize(0);
	cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
	if (is("early-fork"))
		cudaEventRecord(fork, a);
	NS_LAUNCH(fill, 1, N, 0, a, x, 7);
	if (is("pageable-graph"))
		cudaMemcpyAsync(x, pageable.data(), N * sizeof(int), cudaMemcpyHostToDevice, a);
	if (!is("early-fork"))
		cudaEventRecord(fork, a);
	cudaStreamWaitEvent(b, fork, 0);
	NS_LAUNCH(shift, 1, N, 0, b, (const int *)x, y, 0);
	cudaEventRecord(join, b);
	if (!is("no-join"))
		cudaStreamWaitEvent(a, join, 0);
	cudaStreamEndCapture(a, &graph);
	cudaGraphInstantiate(&exec, graph, 0);
	cudaGraphLaunch(exec, a);
	cudaStreamSynchronize(a);
	bad = expect(y, std::vector<int>(N, 7), "graphs");
	cudaGraphExecDestroy(exec);
	cudaGraphDestroy(graph);
	cudaEventDestroy(fork);
	cudaEventDestroy(join);
	cudaStreamDestroy(a);
	cudaStreamDestroy(b);
	cudaFree(x);
	cudaFree(y);
	return bad;
}

int main(int argc, char **argv)
{
	std::vector<int> up(N), down(N), turned(N), swapped(N), ones(N, 1), zeros(N, 0);
	int i, bad = 0, *x, *y;

	bug = argc > 1 ? argv[1] : "none";
	for (i = 0; i < N; i++) {
		up[(size_t)i] = i;
		down[(size_t)i] = N - 1 - i;
		turned[(size_t)(i / 32 * 32 + 31 - i % 32)] = i;
		swapped[(size_t)i] = i % 32 ^ 1;
		swapped[(size_t)i] += i / 32 * 32;
	}
	if (is("unwritten-device")) { /* a copy back of what nothing computed */
		void *p;
		int here[N];

		cudaMalloc(&p, sizeof here);
		cudaMemcpyAsync(here, p, sizeof here, cudaMemcpyDeviceToHost, 0);
		cudaFree(p);
		return here[0] != -1; /* what memory holds before */
	}
	x = device(up);
	y = device(zeros);
	NS_LAUNCH(reverse, 1, N, 0, 0, (const int *)x, y, !is("no-barrier"));
	bad |= expect(y, down, "reverse");
	NS_LAUNCH(turn_warps, 1, N, 0, 0, (const int *)x, y, !is("no-syncwarp"));
	bad |= expect(y, turned, "turn_warps");
	NS_LAUNCH(shift, 1, N, 0, 0, (const int *)x, y, is("out-of-bounds") ? 1 : 0);
	NS_LAUNCH(shared_shift, 1, N, 0, 0, y, is("out-of-shared") ? 1 : 0);
	NS_LAUNCH(half_written, 1, N, 0, 0, y, !is("unwritten"));
	bad |= expect(y, zeros, "half_written");
	NS_LAUNCH(leave_early, 1, N, 0, 0, y, is("left-barrier"));
	NS_LAUNCH(both_branches, 1, N, 0, 0, y, is("both-branches"));
	bad |= expect(y, ones, "barriers");
	NS_LAUNCH(shuffle_left, 1, N, 0, 0, y, is("left-shuffle"));
	bad |= expect(y, swapped, "shuffle_left");
	cudaMemsetAsync(y, 0, sizeof(int), 0);
	NS_LAUNCH(count_blocks, 1, N, 0, 0, y, !is("plain-count"));
	if (is("host-pointer"))
		NS_LAUNCH(fill, 1, N, 0, 0, ones.data(), 1);
	if (is("wrong-copy"))
		cudaMemcpyAsync(zeros.data(), ones.data(), 16, cudaMemcpyDeviceToHost, 0);
	if (is("host-reads"))
		printf("%d\n", y[0]);
	bad |= streams();
	bad |= graphs();
	cudaFree(x);
	if (!is("leak"))
		cudaFree(y);
	return bad;
}
