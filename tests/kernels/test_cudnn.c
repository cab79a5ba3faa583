/*
 * tests/kernels/test_cudnn.c - cuDNN's graphs of an inference convolution without a device: built, ranked and planned for GPUs
 * that are described in words, up to code that only a device could load. Wants a libcuda.so.1, for which the toolkit's stub
 * will do. Skipped aloud where that, the CUDA module or its cuDNN is not there.
 */
#include "tests/kernels/cases.h"

#include <dlfcn.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef enum ns_status graph_for_fn(const struct ns_op_conv *conv, const char *device, size_t *workspace);
typedef enum ns_status output_of_fn(const struct ns_op_conv *conv, int sizes[4]);
static graph_for_fn *graph_for;
static output_of_fn *output_of;

/* an A100, an H200 and a B200, as far as cuDNN asks */
#define DEVICE(name, sm, count, shared, cache)                                                                                                       \
	"{\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536, "                                \
	"\"multiProcessorCount\": " #count ", \"warpSize\": 32, \"maxSharedMemoryPerBlock\": 49152, "                                                \
	"\"maxSharedMemoryPerBlockOptin\": " #shared ", \"reservedSharedMemoryPerBlock\": 1024, \"maxRegistersPerSM\": 65536, "                      \
	"\"maxCtasPerSM\": 32, \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"pciDeviceId\": 0, \"isTccDriver\": 0, "                    \
	"\"supportCoopLaunch\": 1, \"smClockRateKHz\": 1980000, \"memClockRateKHz\": 3201000, \"l2CacheSize\": " #cache ", "                         \
	"\"deviceName\": \"" name "\", \"deviceVer\": " #sm ", \"driverVer\": 13000, \"cudaDeviceId\": 0, \"totalGlobalMem\": 80000000000}"
static const char *const devices[] = {DEVICE("NVIDIA A100", 800, 108, 166912, 41943040), DEVICE("NVIDIA H200", 900, 132, 232448, 62914560),
				      DEVICE("NVIDIA B200", 1000, 148, 232448, 132644864)};

/* of ResNet-18 for 32 x 32 and ResNet-50 for 224 x 224, and odd ones: n, h, w, c, k, r, stride, pad */
static const int shapes[][8] = {{128, 32, 32, 64, 64, 3, 1, 1},	 {128, 32, 32, 64, 128, 3, 2, 1}, {128, 16, 16, 64, 128, 1, 2, 0},
				{64, 56, 56, 256, 128, 1, 1, 0}, {64, 7, 7, 512, 512, 3, 1, 1},	  {5, 9, 9, 16, 48, 1, 2, 0}};
static const unsigned flags[] = {NS_CONV_BIAS, NS_CONV_BIAS | NS_CONV_RELU, NS_CONV_BIAS | NS_CONV_RESIDUAL | NS_CONV_RELU};

static void test_planned(void **state)
{
	size_t d, i, f;
	int planned = 0, declined = 0;

	(void)state;
	for (d = 0; d < COUNT(devices); d++)
		for (i = 0; i < COUNT(shapes); i++)
			for (f = 0; f < COUNT(flags); f++) {
				const int *z = shapes[i];
				struct ns_op_conv v = {z[0], z[1], z[2], z[3], z[4], z[5], z[5], z[6], z[7], flags[f], 0, NS_BF16};
				size_t workspace = (size_t)-1;
				enum ns_status status = graph_for(&v, devices[d], &workspace);

				if (status != NS_OK && status != NS_DECLINED)
					fail_msg("device %zu, shape %zu, flags %u: %s", d, i, flags[f], ns_message());
				assert_true(status != NS_OK || workspace <= (size_t)512 << 20);
				planned += status == NS_OK;
				declined += status != NS_OK;
			}
	printf("conv/graph: %d of %d planned\n", planned, planned + declined);
	assert_int_equal(declined, 0);
}

/* the plain interface's descriptors mean the shapes that we mean */
static void test_shapes(void **state)
{
	static const int windows[][3] = {{1, 1, 0}, {1, 2, 0}, {3, 1, 1}, {3, 2, 1}, {7, 2, 3}, {5, 3, 2}};
	int h, w, n = 0;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(windows); i++)
		for (h = 7; h < 40; h += 5)
			for (w = 7; w < 40; w += 8, n++) {
				struct ns_op_conv v = {
					3, h, w, 4, 6, windows[i][0], windows[i][0], windows[i][1], windows[i][2], 0, 0, n % 2 ? NS_F32 : NS_BF16};
				int sizes[4] = {0};

				assert_int_equal(output_of(&v, sizes), NS_OK);
				assert_int_equal(sizes[0], 3);
				assert_int_equal(sizes[1], 6);
				assert_int_equal(sizes[2], ns_op_conv_p(&v));
				assert_int_equal(sizes[3], ns_op_conv_q(&v));
			}
}

/* what it does not take is declined, not built wrongly */
static void test_declined(void **state)
{
	struct ns_op_conv v = {4, 8, 8, 3, 16, 3, 3, 1, 1, NS_CONV_BIAS, 0, NS_BF16};
	size_t workspace;

	(void)state;
	assert_int_equal(graph_for(&v, devices[1], &workspace), NS_DECLINED);
	v.c = 8;
	v.dtype = NS_F32;
	assert_int_equal(graph_for(&v, devices[1], &workspace), NS_DECLINED);
	v.dtype = NS_BF16;
	assert_int_equal(graph_for(&v, "{}", &workspace), NS_NO_DEVICE);
	assert_non_null(strstr(ns_message(), "cuDNN graph: describing the device"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_planned), cmocka_unit_test(test_declined)};
	void *module = dlopen(NST_MODULE, RTLD_NOW | RTLD_LOCAL), *symbol;

	if (!module || !dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {
		printf("SKIPPED: %s\n", dlerror());
		return 77;
	}
	symbol = dlsym(module, "ns_cudnn_graph_for");
	if (!symbol) {
		printf("SKIPPED: this CUDA module was built without cuDNN, or with one that plans for no device in words\n");
		return 77;
	}
	memcpy(&graph_for, &symbol, sizeof symbol);
	symbol = dlsym(module, "ns_cudnn_output_of");
	memcpy(&output_of, &symbol, sizeof symbol);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
