/* host/comm/nccl_abi_inner.h - the types of NCCL's interface (version 2) that function calls use: for nccl.c and its test alone. */
#ifndef NS_NCCL_ABI_H
#define NS_NCCL_ABI_H

#ifndef NCCL_MAJOR /* the test has included nccl.h itself, and compares */
typedef struct ncclComm *ncclComm_t;
typedef struct {
	char internal[128];
} ncclUniqueId; /* passed by value */
typedef int ncclResult_t, ncclDataType_t;
#endif
#define NS_NCCL_SUCCESS	 0
#define NS_NCCL_FLOAT	 7
#define NS_NCCL_ID_BYTES 128

#endif
