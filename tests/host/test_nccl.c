/* tests/host/test_nccl.c - host/comm/nccl_abi_inner.h against NCCL's own header, where that is installed; skipped aloud elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#ifdef NST_NCCL
#include <nccl.h>

#include "host/comm/nccl_abi_inner.h"

/* the functions that comm_nccl.c calls, with the types that it calls them with */
static ncclResult_t (*const unique_id)(ncclUniqueId *) = ncclGetUniqueId;
static ncclResult_t (*const init)(ncclComm_t *, int, ncclUniqueId, int) = ncclCommInitRank;
static ncclResult_t (*const sends)(const void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) = ncclSend;
static ncclResult_t (*const receives)(void *, size_t, ncclDataType_t, int, ncclComm_t, cudaStream_t) = ncclRecv;
static ncclResult_t (*const gathers)(const void *, void *, size_t, ncclDataType_t, ncclComm_t, cudaStream_t) = ncclAllGather;
static ncclResult_t (*const async_error)(ncclComm_t, ncclResult_t *) = ncclCommGetAsyncError;

static void test_values(void **state)
{
	(void)state;
	assert_int_equal(NS_NCCL_SUCCESS, ncclSuccess);
	assert_int_equal(NS_NCCL_FLOAT, ncclFloat);
	assert_int_equal(NS_NCCL_ID_BYTES, NCCL_UNIQUE_ID_BYTES);
	assert_int_equal(sizeof(ncclUniqueId), 128);
	assert_int_equal(sizeof(ncclDataType_t), sizeof(int));
	assert_int_equal(sizeof(ncclResult_t), sizeof(int));
	assert_int_equal(NCCL_MAJOR, 2);
	assert_true(unique_id && init && sends && receives && gathers && async_error);
}

/* without a GPU the library still opens, tells its version and makes an id */
static void test_library(void **state)
{
	ncclUniqueId id;
	int version = 0;

	(void)state;
	assert_int_equal(ncclGetVersion(&version), ncclSuccess);
	assert_true(version >= 20700); /* since when a rank may send to itself in a group */
	assert_int_equal(unique_id(&id), ncclSuccess);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_library)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
	printf("SKIPPED: nccl.h is not installed\n");
	return 77;
}
#endif
