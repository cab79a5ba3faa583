/*
 * jobs/bench/bench_inner.h - what the parts of the bench share: a clock, and the table that they write into.
 */
#ifndef NS_BENCH_BENCH_INNER_H
#define NS_BENCH_BENCH_INNER_H

#include "jobs/bench/bench.h"

#define NS_BENCH_ROWS 64
#define NS_BENCH_VIRTUAL 4 /* virtual ranks of a batch, as train.virtual_ranks is by default */

struct ns_measured {
	char name[64], unit[16];
	double rate, low, high; /* median and quartiles of items a second */
	double flops, bytes;	/* of one item */
	double share;		/* of its limit */
	const char *bound;	/* which limit: arithmetic, memory, pread, MPI_Allreduce */
};

struct ns_bench {
	struct ns_job *job;
	struct ns_device *dev;
	struct ns_queue *queue;
	const char *only;	   /* measure what has this in its name; NULL: everything */
	double seconds, copy;	   /* a measurement; bytes/s read and written */
	double fma, fma_bf16;	   /* flop/s: of one core a loop of multiply-adds, of a GPU a matrix product */
	int batch;
	int rounds; /* of an op between two waits: a GPU is given work ahead */
	struct ns_measured rows[NS_BENCH_ROWS];
	int count;
};

typedef enum ns_status ns_bench_fn(void *context);

/* Is this measurement asked for? */
int ns_bench_wants(const struct ns_bench *b, const char *name);
/* rate: first quartile, median, third quartile and best of items a second; each of a few repeats takes a share of b->seconds */
enum ns_status ns_bench_clock(struct ns_bench *b, ns_bench_fn *fn, void *context, double items, double rate[4]);
/* the same from samples, which this sorts */
void ns_bench_quartiles(double *samples, int n, double rate[4]);
/* A row of the table: its share is of the nearer of two limits, `flops` of an item at `peak`, and `bytes` (0: not bound by it). */
struct ns_measured *ns_bench_record(struct ns_bench *b, const char *name, const char *unit, const double rate[4],
				    double flops, double bytes, double peak);

/* multiplications by pixels inside the image along one side: padding costs nothing where it is done well */
double ns_bench_taps(int in, int out, int kernel, int stride, int pad);

/* an op as a ns_bench_fn: its plan, b->rounds times, and, on a GPU, until it is done */
struct ns_bench_op {
	struct ns_bench *b;
	struct ns_plan *plan;
	struct ns_args args;
};
ns_bench_fn ns_bench_op_once;
/* memory of the device that is no zeros (on which processors of all kinds are faster): as f32 and as bf16 about 1, either sign */
enum ns_status ns_bench_memory(struct ns_bench *b, size_t bytes, void **mem);

enum ns_status ns_bench_ops(struct ns_bench *b);
enum ns_status ns_bench_augment(struct ns_bench *b);
enum ns_status ns_bench_loader(struct ns_bench *b);
enum ns_status ns_bench_nets(struct ns_bench *b);
/* Collective; nothing on a lone rank. Rank 0 records. */
enum ns_status ns_bench_comm(struct ns_bench *b);

/* bench.html; `old` is another run's bench.json, or NULL */
enum ns_status ns_bench_page(const struct ns_bench *b, const json_t *old, const char *path);

#endif
