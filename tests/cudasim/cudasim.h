/*
 * tests/cudasim/cudasim.h - CUDA kernels on the CPU, for tests: .cu files compile as C++17 against this header instead
 * of CUDA's, and cudasim.cpp runs them, one block at a time, each CUDA thread a fiber of its own.
 *
 * What it finds: wrong results, memory errors (ASan), races and missing barriers (TSan), results that depend on the
 * order of threads or blocks (NS_CUDASIM_ORDER=forward|reverse|shuffle:SEED), missing waits between streams
 * (NS_CUDASIM_STREAMS=eager|lazy), divergent barriers and shuffles, host pointers given to kernels. What it cannot show:
 * speed, registers, weak memory between blocks, and anything in cuDNN or NCCL.
 */
#ifndef NS_CUDASIM_H
#define NS_CUDASIM_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ use_NS_SHARED_instead_of_shared

struct uint3 {
	unsigned x, y, z;
};
struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
	{
	}
};
struct alignas(8) uint2 {
	unsigned x, y;
};
struct alignas(16) uint4 {
	unsigned x, y, z, w;
};
struct alignas(16) float4 {
	float x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w)
{
	return {x, y, z, w};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
	return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
	return {x, y};
}

/* of the CUDA thread that runs now */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static const int warpSize = 32;

/* --- the run time API that the backend calls --- */

typedef enum {
	cudaSuccess = 0,
	cudaErrorInvalidValue = 1,
	cudaErrorMemoryAllocation = 2,
	cudaErrorInvalidConfiguration = 9,
	cudaErrorInsufficientDriver = 35,
	cudaErrorNoDevice = 100,
	cudaErrorNoKernelImageForDevice = 209,
	cudaErrorIllegalAddress = 700
} cudaError_t;
typedef struct cudasim_stream *cudaStream_t;
typedef struct cudasim_event *cudaEvent_t;
typedef struct cudasim_graph *cudaGraph_t;
typedef struct cudasim_graph *cudaGraphExec_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16, cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
struct cudaFuncAttributes {
	int numRegs;
};
struct cudaDeviceProp {
	char name[256];
	int major, minor, multiProcessorCount;
	size_t totalGlobalMem;
	struct {
		char bytes[16];
	} uuid;
};

extern "C" {
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *a, const void *kernel);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMalloc(void **mem, size_t bytes);
cudaError_t cudaFree(void *mem);
cudaError_t cudaMemGetInfo(size_t *spare, size_t *all);
cudaError_t cudaMallocHost(void **mem, size_t bytes);
cudaError_t cudaFreeHost(void *mem);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *mem, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t error);
}

namespace cudasim
{
/* an error of the program under test: says where, and aborts */
[[noreturn]] void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void submit(cudaStream_t stream, std::function<void()> work);
cudaError_t check_launch(const char *kernel, dim3 grid, dim3 block, size_t shared);
void check_pointer(const char *kernel, int argument, const void *p);
void run_grid(const char *kernel, dim3 grid, dim3 block, size_t shared, void (*thread)(void *), void *context);
void *shared_array(const void *key, size_t bytes);
void *shared_dynamic();

template <class T> void check_argument(const char *kernel, int i, const T &value)
{
	if constexpr (std::is_pointer_v<T>)
		if (value)
			check_pointer(kernel, i, (const void *)value);
}

/* arguments are converted and copied at the launch, as on the device */
template <class... P, class... A>
void launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream, A... given)
{
	std::tuple<P...> args(static_cast<P>(given)...);
	int i = 0;

	if (check_launch(name, grid, block, shared) != cudaSuccess)
		return;
	std::apply([&](const P &...a) { (check_argument(name, i++, a), ...); }, args);
	submit(stream, [=]() mutable {
		auto bound = std::make_pair(kernel, args);

		run_grid(
			name, grid, block, shared,
			[](void *context) {
				auto *b = static_cast<decltype(bound) *>(context);

				std::apply(b->first, b->second);
			},
			&bound);
	});
}

/* --- barriers and warps --- */
int barrier(int predicate, int kind, const char *file, int line);
void warp_barrier(unsigned mask, const char *file, int line);
typedef void exchange_fn(unsigned mask, const uint64_t *in, const uint64_t *extra, uint64_t *out);
uint64_t exchange(unsigned mask, exchange_fn *fn, uint64_t value, uint64_t extra, const char *file, int line);
void shuffle_from(unsigned mask, const uint64_t *in, const uint64_t *extra, uint64_t *out);
void vote(unsigned mask, const uint64_t *in, const uint64_t *extra, uint64_t *out);
unsigned lane();

template <class T> T shuffle(unsigned mask, T value, unsigned source, const char *file, int line)
{
	uint64_t bits = 0;
	T result;

	static_assert(sizeof(T) <= 8, "at most 8 bytes a shuffle");
	memcpy(&bits, &value, sizeof value);
	bits = exchange(mask, shuffle_from, bits, source, file, line);
	memcpy(&result, &bits, sizeof result);
	return result;
}
template <class T> int atomic_size_ok()
{
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics have 4 or 8 bytes");
	return 0;
}
} // namespace cudasim

#define NS_SIM_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(NS_SIM_SITE)
{
	cudasim::barrier(0, 0, file, line);
}
static inline int __syncthreads_or(int p, NS_SIM_SITE)
{
	return cudasim::barrier(p, 1, file, line);
}
static inline int __syncthreads_and(int p, NS_SIM_SITE)
{
	return cudasim::barrier(p, 2, file, line);
}
static inline int __syncthreads_count(int p, NS_SIM_SITE)
{
	return cudasim::barrier(p, 3, file, line);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, NS_SIM_SITE)
{
	cudasim::warp_barrier(mask, file, line);
}
template <class T> T __shfl_sync(unsigned mask, T v, int source, NS_SIM_SITE)
{
	return cudasim::shuffle(mask, v, (unsigned)source & 31, file, line);
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, NS_SIM_SITE)
{
	return cudasim::shuffle(mask, v, cudasim::lane() ^ ((unsigned)bits & 31), file, line);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned delta, NS_SIM_SITE)
{
	unsigned to = cudasim::lane() + delta;

	return cudasim::shuffle(mask, v, to < 32 ? to : cudasim::lane(), file, line);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned delta, NS_SIM_SITE)
{
	unsigned at = cudasim::lane();

	return cudasim::shuffle(mask, v, at >= delta ? at - delta : at, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int p, NS_SIM_SITE)
{
	return (unsigned)cudasim::exchange(mask, cudasim::vote, p != 0, 0, file, line);
}
static inline int __any_sync(unsigned mask, int p, NS_SIM_SITE)
{
	return cudasim::exchange(mask, cudasim::vote, p != 0, 0, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int p, NS_SIM_SITE)
{
	return cudasim::exchange(mask, cudasim::vote, p != 0, 0, file, line) == mask;
}
static inline void __threadfence()
{
}

/* --- atomics: relaxed, as the device's --- */
template <class T> T atomicAdd(T *p, T v)
{
	T old, sum;

	cudasim::atomic_size_ok<T>();
	if constexpr (std::is_integral_v<T>) {
		return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
	} else {
		__atomic_load(p, &old, __ATOMIC_RELAXED);
		do
			sum = old + v;
		while (!__atomic_compare_exchange(p, &old, &sum, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
		return old;
	}
}
template <class T> T atomicMax(T *p, T v)
{
	T old = __atomic_load_n(p, __ATOMIC_RELAXED);

	while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return old;
}

/* --- arithmetic --- */
static inline int min(int a, int b)
{
	return a < b ? a : b;
}
static inline int max(int a, int b)
{
	return a > b ? a : b;
}
static inline unsigned umin(unsigned a, unsigned b)
{
	return a < b ? a : b;
}
static inline int __popc(unsigned x)
{
	return __builtin_popcount(x);
}
static inline int __clz(int x)
{
	return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
	return __builtin_ffs(x);
}
static inline float __int_as_float(int x)
{
	float f;

	memcpy(&f, &x, 4);
	return f;
}
static inline unsigned __float_as_uint(float x)
{
	unsigned u;

	memcpy(&u, &x, 4);
	return u;
}
/* the bytes of a word from eight, each named by four bits */
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned which)
{
	uint64_t all = (uint64_t)b << 32 | a;
	unsigned r = 0;
	int i;

	for (i = 0; i < 4; i++)
		r |= (unsigned)(all >> 8 * (which >> 4 * i & 7) & 255) << 8 * i;
	return r;
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
	return (unsigned)(((uint64_t)high << 32 | low) >> (shift & 31));
}
/* two halves of a, each times a byte of b */
static inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned c)
{
	return c + (a & 0xffff) * (b & 255) + (a >> 16) * (b >> 8 & 255);
}
static inline unsigned __dp2a_hi(unsigned a, unsigned b, unsigned c)
{
	return __dp2a_lo(a, b >> 16, c);
}
/* four bytes of a, each times a byte of b */
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c)
{
	return __dp2a_lo((a & 255) | (a >> 8 & 255) << 16, b, __dp2a_hi((a >> 16 & 255) | a >> 24 << 16, b, c));
}
template <class T> T __ldg(const T *p)
{
	return *p;
}
#define __expf(x) expf(x)

/* a reference to an array in the block's own memory; nothing of it is set */
#define NS_SHARED(type, name, dims)                                                                                                                  \
	static const char name##_site = 0;                                                                                                           \
	typedef type name##_type dims;                                                                                                               \
	name##_type &name = *(name##_type *)cudasim::shared_array(&name##_site, sizeof(name##_type))
#define NS_SHARED_DYN(type, name)			    type *name = (type *)cudasim::shared_dynamic()
#define NS_LAUNCH(kernel, grid, block, shared, stream, ...) cudasim::launch(#kernel, kernel, grid, block, shared, stream, ##__VA_ARGS__)

#endif
