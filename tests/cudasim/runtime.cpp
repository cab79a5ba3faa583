/*
 * tests/cudasim/runtime.cpp - the run time API over host memory: allocations that only kernels and copies may touch,
 * streams that work at once or as late as they may, events, graphs.
 */
#include "tests/cudasim/cudasim_inner.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include <unistd.h>

struct cudasim_event {
	cudaStream_t stream = nullptr;
	size_t position = 0; /* work before this place in the stream has to be done */
	cudasim_graph *recorded_in = nullptr; /* ... or, of a stream that is being captured, these nodes */
	std::vector<size_t> nodes;
};

struct cudasim_graph {
	struct node {
		std::function<void()> work;
		std::vector<size_t> after;
	};
	std::vector<node> nodes;
	std::vector<cudaStream_t> members; /* streams that are being captured into it */
};

struct cudasim_stream {
	std::vector<std::function<void()>> work;
	size_t done = 0;
	cudasim_graph *capturing = nullptr;
	bool origin = false;
	std::vector<size_t> tails; /* nodes that the next one of this stream comes after */
};

namespace cudasim
{
static std::recursive_mutex lock;
static cudaError_t last = cudaSuccess;
static cudasim_stream zero; /* the default stream */
/* inverted addresses, so that the leak checker does not take this list for a user; a vector, as MSan sees into templates alone */
typedef std::vector<std::pair<uintptr_t, size_t>> allocations;
static allocations device, pinned;
static int depth;    /* of what works on device memory */
static int captures; /* that have not ended */

/* NS_CUDASIM_LOST=N: from the Nth graph on, everything that waits for the device fails, as after an error in a kernel */
static bool lost(int graphs)
{
	static const char *limit = getenv("NS_CUDASIM_LOST");
	static int count;

	count += graphs;
	return limit && count >= atoi(limit);
}

static cudaError_t fail(cudaError_t error)
{
	last = error;
	return error;
}

static bool lazy()
{
	static const char *mode = getenv("NS_CUDASIM_STREAMS");

	return mode && !strcmp(mode, "lazy");
}

void make_order(unsigned *order, unsigned n)
{
	static const char *mode = getenv("NS_CUDASIM_ORDER");
	static uint64_t seed = mode && !strncmp(mode, "shuffle:", 8) ? strtoull(mode + 8, NULL, 10) * 2 + 1 : 0;
	unsigned i;

	for (i = 0; i < n; i++)
		order[i] = mode && !strcmp(mode, "reverse") ? n - 1 - i : i;
	for (i = n; seed && i > 1; i--) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		std::swap(order[i - 1], order[(seed >> 33) % i]);
	}
}

void open_device_memory()
{
	if (!depth++)
		for (auto &d : device)
			UNPOISON((void *)~d.first, d.second);
}

void close_device_memory()
{
	if (!--depth)
		for (auto &d : device)
			POISON((void *)~d.first, d.second);
}

static allocations::iterator find(allocations &list, const void *p)
{
	return std::find_if(list.begin(), list.end(), [=](const auto &a) { return a.first == ~(uintptr_t)p; });
}

static bool inside(const allocations &list, const void *p, size_t bytes)
{
	for (auto &d : list) {
		uintptr_t at = ~d.first, q = (uintptr_t)p;

		if (q >= at && q + bytes <= at + d.second)
			return true;
	}
	return false;
}

void check_pointer(const char *kernel, int argument, const void *p)
{
	std::lock_guard<std::recursive_mutex> hold(lock);

	if (!inside(device, p, 1))
		wrong("launch of %s: argument %d (%p) is no device memory%s", kernel, argument, p,
		      inside(pinned, p, 1) ? " (it is pinned host memory)" : "");
}

cudaError_t check_launch(const char *kernel, dim3 grid, dim3 block, size_t shared)
{
	unsigned long threads = (unsigned long)block.x * block.y * block.z;

	if (threads < 1 || threads > 1024 || !grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535 || shared > 48 << 10) {
		fprintf(stderr, "cudasim: launch of %s: grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of shared memory\n", kernel, grid.x, grid.y,
			grid.z, block.x, block.y, block.z, shared);
		return fail(cudaErrorInvalidConfiguration);
	}
	return cudaSuccess;
}

/* do what a stream holds, up to a place */
static void drain(cudasim_stream *s, size_t until)
{
	while (s->done < until && s->done < s->work.size()) {
		auto work = std::move(s->work[s->done]);

		s->done++;
		open_device_memory();
		work();
		close_device_memory();
	}
}

void submit(cudaStream_t stream, std::function<void()> work)
{
	std::lock_guard<std::recursive_mutex> hold(lock);
	cudasim_stream *s = stream ? stream : &zero;

	if (s->capturing) {
		s->capturing->nodes.push_back({std::move(work), s->tails});
		s->tails = {s->capturing->nodes.size() - 1};
		return;
	}
	s->work.push_back(std::move(work));
	if (!lazy())
		drain(s, s->work.size());
}
} // namespace cudasim

using namespace cudasim;
#define HOLD std::lock_guard<std::recursive_mutex> hold(lock)

/* as many as CUDA_VISIBLE_DEVICES names, as a launcher that hands out GPUs sets it */
static int visible()
{
	const char *names = getenv("CUDA_VISIBLE_DEVICES");
	int count = 1;

	if (!names)
		return 1;
	if (!*names)
		return 0;
	for (; *names; names++)
		count += *names == ',';
	return count;
}

extern "C" {
cudaError_t cudaGetDeviceCount(int *count)
{
	if (getenv("NS_CUDASIM_OLD_DRIVER"))
		return fail(cudaErrorInsufficientDriver); /* and *count stays as it is */
	*count = getenv("NS_CUDASIM_NO_DEVICE") ? 0 : visible();
	return *count ? cudaSuccess : fail(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int d)
{
	return d >= 0 && d < visible() ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int)
{
	memset(prop, 0, sizeof *prop);
	snprintf(prop->name, sizeof prop->name, "cudasim (no device: kernels run on the processor)");
	prop->major = 9;
	prop->multiProcessorCount = 2;
	prop->totalGlobalMem = (size_t)1 << 32;
	if (getenv("NS_CUDASIM_GPU_A_RANK")) /* ranks as if each had a GPU of its own */
		snprintf(prop->uuid.bytes, sizeof prop->uuid.bytes, "%d", (int)getpid());
	return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *)
{
	a->numRegs = 0;
	return getenv("NS_CUDASIM_OTHER_GPU") ? fail(cudaErrorNoKernelImageForDevice) : cudaSuccess;
}

/* NS_CUDASIM_OLD_DRIVER: its version, 0 where there is none */
cudaError_t cudaDriverGetVersion(int *version)
{
	const char *old = getenv("NS_CUDASIM_OLD_DRIVER");

	*version = old ? atoi(old) : 0;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = 0;
	return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *spare, size_t *all)
{
	HOLD;
	static const char *limit = getenv("NS_CUDASIM_MEMORY");

	*spare = *all = limit ? (size_t)strtoull(limit, NULL, 10) : (size_t)1 << 36;
	for (auto &d : device)
		*spare -= d.second;
	return cudaSuccess;
}

cudaError_t cudaMalloc(void **mem, size_t bytes)
{
	HOLD;
	size_t spare, all;

	cudaMemGetInfo(&spare, &all);
	*mem = NULL;
	if (captures)
		wrong("cudaMalloc while a stream is being captured");
	if (bytes > spare)
		return fail(cudaErrorMemoryAllocation);
	if (posix_memalign(mem, 256, bytes ? bytes : 1))
		return fail(cudaErrorMemoryAllocation);
	memset(*mem, 0xff, bytes);
	FORGET(*mem, bytes);
	device.push_back({~(uintptr_t)*mem, bytes});
	if (!depth)
		POISON(*mem, bytes);
	return cudaSuccess;
}

cudaError_t cudaFree(void *mem)
{
	HOLD;

	if (!mem)
		return cudaSuccess;
	drain(&zero, zero.work.size());
	auto it = find(device, mem);

	if (it == device.end())
		wrong("cudaFree of %p, which is no allocation", mem);
	UNPOISON(mem, it->second);
	device.erase(it);
	free(mem);
	return cudaSuccess;
}

cudaError_t cudaMallocHost(void **mem, size_t bytes)
{
	HOLD;

	if (posix_memalign(mem, 256, bytes ? bytes : 1))
		return fail(cudaErrorMemoryAllocation);
	memset(*mem, 0xff, bytes);
	FORGET(*mem, bytes);
	pinned.push_back({~(uintptr_t)*mem, bytes});
	return cudaSuccess;
}

cudaError_t cudaFreeHost(void *mem)
{
	HOLD;

	if (mem) {
		auto it = find(pinned, mem);

		if (it == pinned.end())
			wrong("cudaFreeHost of %p, which is no pinned memory", mem);
		pinned.erase(it);
	}
	free(mem);
	return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	HOLD;
	const void *host = kind == cudaMemcpyHostToDevice ? src : kind == cudaMemcpyDeviceToHost ? dst : NULL;

	if (!bytes)
		return cudaSuccess;
	if (kind != cudaMemcpyDeviceToHost && !inside(device, dst, bytes))
		wrong("a copy of %zu bytes to %p, which is no device memory of that size", bytes, dst);
	if (kind != cudaMemcpyHostToDevice && !inside(device, src, bytes))
		wrong("a copy of %zu bytes from %p, which is no device memory of that size", bytes, src);
	if (host && inside(device, host, 1))
		wrong("a copy names device memory %p as the host's", host);
	if (host && stream && stream->capturing && !inside(pinned, host, bytes))
		wrong("a graph of a copy with host memory %p, which is not pinned", host);
	if (host && !inside(pinned, host, bytes) && kind == cudaMemcpyHostToDevice) {
		/* pageable: the driver has taken the bytes when the call returns; they arrive in the stream's order */
		auto staged = std::make_shared<std::vector<char>>((const char *)src, (const char *)src + bytes);

		submit(stream, [=]() { memcpy(dst, staged->data(), bytes); });
		return cudaSuccess;
	}
	submit(stream, [=]() {
		if (kind == cudaMemcpyDeviceToHost)
			EXPECT_KNOWN(src, bytes);
		memcpy(dst, src, bytes);
	});
	if (host && !inside(pinned, host, bytes))
		return cudaStreamSynchronize(stream); /* pageable: complete when the call returns */
	return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *mem, int value, size_t bytes, cudaStream_t stream)
{
	HOLD;

	if (bytes && !inside(device, mem, bytes))
		wrong("a memset of %zu bytes at %p, which is no device memory of that size", bytes, mem);
	submit(stream, [=]() { memset(mem, value, bytes); });
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
	*stream = new cudasim_stream;
	return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	HOLD;
	cudasim_stream *s = stream ? stream : &zero;

	if (s->capturing)
		wrong("cudaStreamSynchronize of a stream that is being captured");
	drain(s, s->work.size());
	return lost(0) ? fail(cudaErrorIllegalAddress) : cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	cudaStreamSynchronize(stream);
	delete stream;
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
	*event = new cudasim_event;
	return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	delete event;
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	HOLD;
	cudasim_stream *s = stream ? stream : &zero;

	event->stream = s;
	event->position = s->work.size();
	event->recorded_in = s->capturing;
	event->nodes = s->tails;
	return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
	HOLD;
	cudasim_stream *other = event->stream;
	size_t position = event->position;

	if (event->recorded_in) { /* the stream joins the capture */
		if (!stream->capturing) {
			stream->capturing = event->recorded_in;
			stream->capturing->members.push_back(stream);
			stream->tails.clear();
		}
		if (stream->capturing != event->recorded_in)
			wrong("a stream of one capture waits for another capture");
		stream->tails.insert(stream->tails.end(), event->nodes.begin(), event->nodes.end());
		return cudaSuccess;
	}
	if (stream && stream->capturing)
		wrong("a stream that is being captured waits for work outside of the capture");
	if (other)
		submit(stream, [=]() { drain(other, position); });
	return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode)
{
	HOLD;

	if (!stream || stream->capturing)
		return fail(cudaErrorInvalidValue);
	stream->capturing = new cudasim_graph;
	stream->capturing->members = {stream};
	stream->origin = true;
	captures++;
	stream->tails.clear();
	return cudaSuccess;
}

/* every node comes before the end of the stream that the capture began with */
static bool joined(const cudasim_graph &g, std::vector<size_t> todo)
{
	std::vector<bool> seen(g.nodes.size());
	size_t count = 0;

	while (!todo.empty()) {
		size_t at = todo.back();

		todo.pop_back();
		if (seen[at])
			continue;
		seen[at] = true;
		count++;
		todo.insert(todo.end(), g.nodes[at].after.begin(), g.nodes[at].after.end());
	}
	return count == g.nodes.size();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
	HOLD;

	if (!stream || !stream->capturing || !stream->origin)
		return fail(cudaErrorInvalidValue);
	*graph = stream->capturing;
	if (!joined(**graph, stream->tails))
		wrong("the end of a capture with work on another stream that was not joined");
	for (auto s : (*graph)->members) {
		s->capturing = nullptr;
		s->origin = false;
		s->tails.clear();
	}
	(*graph)->members.clear();
	captures--;
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
	*exec = new cudasim_graph(*graph);
	return cudaSuccess;
}

/* nodes in any order that their edges allow: NS_CUDASIM_ORDER says which */
static void run_graph(const cudasim_graph &g)
{
	std::vector<size_t> waits(g.nodes.size()), ready;
	std::vector<std::vector<size_t>> next(g.nodes.size());
	std::vector<unsigned> order;

	for (size_t i = 0; i < g.nodes.size(); i++) {
		waits[i] = g.nodes[i].after.size();
		for (size_t before : g.nodes[i].after)
			next[before].push_back(i);
		if (!waits[i])
			ready.push_back(i);
	}
	while (!ready.empty()) {
		order.resize(ready.size());
		make_order(order.data(), (unsigned)ready.size());
		size_t at = ready[order[0]];

		ready.erase(ready.begin() + order[0]);
		g.nodes[at].work();
		for (size_t after : next[at])
			if (!--waits[after])
				ready.push_back(after);
	}
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
	HOLD;
	auto graph = std::make_shared<cudasim_graph>(*exec);

	lost(1);
	submit(stream, [=]() { run_graph(*graph); });
	return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	delete graph;
	return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	delete exec;
	return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
	cudaError_t error = last;

	last = cudaSuccess;
	return error;
}

const char *cudaGetErrorString(cudaError_t error)
{
	switch (error) {
	case cudaSuccess:
		return "no error";
	case cudaErrorMemoryAllocation:
		return "out of memory";
	case cudaErrorInvalidConfiguration:
		return "invalid configuration argument";
	case cudaErrorIllegalAddress:
		return "an illegal memory access was encountered";
	case cudaErrorNoDevice:
		return "no CUDA-capable device is detected";
	default:
		return "invalid argument";
	}
}
}
