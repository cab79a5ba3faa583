/*
 * host/comm_nccl.h - what ranks with a GPU each send to one another without passing through the host. The library is
 * opened at run time (libnccl.so.2, or what NS_NCCL_LIBRARY names), so that a build and a machine without it lose nothing
 * but this. Work is given to a stream, in its order; every call is collective, in the same order on all ranks.
 */
#ifndef NS_COMM_NCCL_H
#define NS_COMM_NCCL_H

#include "host/comm.h"

struct ns_nccl;

/*
 * NS_NO_DEVICE with the reason, the same on all ranks: two ranks share the GPU `id`, or a rank has no such library. The GPU
 * must be current in this thread.
 */
enum ns_status ns_nccl_open(struct ns_nccl **nccl, struct ns_comm *comm, const unsigned char id[16]);
void ns_nccl_close(struct ns_nccl *nccl);
/* "NCCL 2.28.9" */
const char *ns_nccl_version(const struct ns_nccl *nccl);

/* Between begin and end, sends and receives are one exchange. Device memory, counts in floats; stream: a cudaStream_t. */
enum ns_status ns_nccl_begin(struct ns_nccl *nccl);
enum ns_status ns_nccl_send(struct ns_nccl *nccl, const float *data, int64_t n, int to, void *stream);
enum ns_status ns_nccl_receive(struct ns_nccl *nccl, float *data, int64_t n, int from, void *stream);
enum ns_status ns_nccl_end(struct ns_nccl *nccl);
/* data: one slice of n floats a rank, of which this rank's is set; on return of the stream all are */
enum ns_status ns_nccl_gather(struct ns_nccl *nccl, float *data, int64_t n, void *stream);
/* an error of another rank that came meanwhile */
enum ns_status ns_nccl_check(struct ns_nccl *nccl);

#endif
