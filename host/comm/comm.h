/*
 * host/comm/comm.h - the only place where ranks meet. Every function here is collective but rank(), size() and
 * abort(): all ranks call it, in the same order. A lone process is one rank, and starts no MPI.
 *
 * NS_INTERNAL if a rank does not make the call within `timeout`: the message names the rank, its node and process, and the
 * call. The communicator cannot be used any more then.
 */
#ifndef NS_COMM_H
#define NS_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

struct ns_comm {
	int rank, size;
	int local_rank, local_size; /* among the ranks of this node */
	int node;		    /* the lowest rank of this node: the same for all that share it */
	double timeout;		    /* seconds until a rank that does not make a collective call is an error; 0: never */
	const struct ns_comm_ops *ops;
	void *data; /* private to the kind */
	void *scratch;
	size_t scratch_bytes;
};

struct ns_comm_ops {
	enum ns_status (*barrier)(struct ns_comm *comm);
	enum ns_status (*broadcast)(struct ns_comm *comm, void *data, size_t bytes, int root);
	enum ns_status (*sum_i64)(struct ns_comm *comm, int64_t *data, size_t n);
	/* counts in floats, one a rank: send `send_counts[r]` floats to rank r */
	enum ns_status (*exchange)(struct ns_comm *comm, const float *send, const int *send_counts, float *receive, const int *receive_counts);
	enum ns_status (*gather_slices)(struct ns_comm *comm, float *data, const int *counts, const int *at);
	enum ns_status (*plain_sum)(struct ns_comm *comm, float *data, size_t n);
	void (*abort)(struct ns_comm *comm, int code);
	void (*close)(struct ns_comm *comm);
};

/* MPI if the environment says that a launcher started us, else a lone rank. The caller sets comm->timeout, which holds for this call too. */
enum ns_status ns_comm_open(struct ns_comm *comm, int *argc, char ***argv);
void ns_comm_close(struct ns_comm *comm);
enum ns_status ns_comm_self(struct ns_comm *comm);
enum ns_status ns_comm_mpi(struct ns_comm *comm, int *argc, char ***argv);
int ns_comm_mpi_wants_pmix(void); /* this build's MPI can be started by srun through PMIx alone */

enum ns_status ns_comm_barrier(struct ns_comm *comm);
enum ns_status ns_comm_broadcast(struct ns_comm *comm, void *data, size_t bytes, int root);
enum ns_status ns_comm_sum_i64(struct ns_comm *comm, int64_t *data, size_t n);
/* The library's own sum, whose bits depend on the number of ranks: only for benchmarks of ours against it. */
enum ns_status ns_comm_plain_sum(struct ns_comm *comm, float *data, size_t n);
/* End every rank of the job with this exit code. Does not return under MPI. */
void ns_comm_abort(struct ns_comm *comm, int code);

/* The virtual ranks that this rank computes: [*begin, *end) of `virtual_ranks`. Not collective. */
void ns_comm_share(const struct ns_comm *comm, int rank, int virtual_ranks, int *begin, int *end);

/*
 * The largest subtrees of the tree below that lie wholly in [begin, end): where each begins and how wide it is, left to
 * right; their number, at most 2 log2(virtual ranks) + 1. Not collective.
 */
int ns_comm_subtrees(int begin, int end, int *first, int *width);
/* n values shared out over the ranks: values a rank, a multiple of 16; the last has fewer. Not collective. */
int64_t ns_comm_slice(const struct ns_comm *comm, int64_t n);

/*
 * out[n] = the sum over all virtual ranks of their leaves, added in one fixed binary tree over 0..virtual_ranks-1
 * (a power of two), whatever the number of ranks: the bits do not depend on it. leaves[i] belongs to virtual
 * rank begin + i and is overwritten. Ranks exchange slices (all-to-all), add them up in tree order, and gather.
 */
enum ns_status ns_comm_tree_sum(struct ns_comm *comm, int virtual_ranks, float *const *leaves, size_t n, float *out);

/*
 * --- nccl: exchange between ranks with a GPU each, without copies through the host. The library is opened at run time
 * (libnccl.so.2, or what NS_NCCL_LIBRARY names), so that a build and a machine without it lose nothing but this. Work is
 * given to a stream, in its order; every call is collective, in the same order on all ranks.
 */

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
/* data: one slice of n floats a rank, of which this rank's is set; once the stream gets there all are */
enum ns_status ns_nccl_gather(struct ns_nccl *nccl, float *data, int64_t n, void *stream);
/* an asynchronous error, such as another rank's failure */
enum ns_status ns_nccl_check(struct ns_nccl *nccl);

#endif
