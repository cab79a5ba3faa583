/*
 * jobs/bench/bench_inner.h - shared by the files of the bench: a clock, and the table that they write to.
 */
#ifndef NS_BENCH_BENCH_INNER_H
#define NS_BENCH_BENCH_INNER_H

#include "jobs/bench/bench.h"

#define NS_BENCH_ROWS	 64
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
	const char *only;     /* measure only names that contain it; NULL: everything */
	double seconds, copy; /* time of a measurement; rate of a copy, bytes/s read and written */
	double fma, fma_bf16; /* flop/s: a loop of multiply-adds on a core, a matrix product on a GPU */
	int batch;
	int rounds; /* runs of an op between two waits, so that a GPU has work queued */
	struct ns_measured rows[NS_BENCH_ROWS];
	int count;
};

typedef enum ns_status ns_bench_fn(void *context);

/* Is this measurement requested by bench.only? */
int ns_bench_is_selected(const struct ns_bench *b, const char *name);
/* rate: first quartile, median, third quartile and best, in items a second, of a few repeats that take b->seconds together */
enum ns_status ns_bench_clock(struct ns_bench *b, ns_bench_fn *fn, void *context, double items, double rate[4]);
/* rate as above from n samples, which it sorts */
void ns_bench_quartiles(double *samples, int n, double rate[4]);
/* Adds a row; its share is of the tighter of two limits: `flops` of an item at `peak`, and `bytes` of an item at the copy's rate (0: none). */
struct ns_measured *ns_bench_record(struct ns_bench *b, const char *name, const char *unit, const double rate[4], double flops, double bytes,
				    double peak);

/* multiply-adds along one side with pixels inside the image; those with padding are not counted, as a good kernel skips them */
double ns_bench_inner_taps(int in, int out, int kernel, int stride, int pad);

/* a ns_bench_fn that runs an op's plan b->rounds times and, on a GPU, waits for it */
struct ns_bench_op {
	struct ns_bench *b;
	struct ns_plan *plan;
	struct ns_args args;
};
ns_bench_fn ns_bench_op_once;
/* device memory filled with values about +-1 as f32 and as bf16: any processor is faster on zeros */
enum ns_status ns_bench_memory(struct ns_bench *b, size_t bytes, void **mem);

enum ns_status ns_bench_ops(struct ns_bench *b);
enum ns_status ns_bench_augment(struct ns_bench *b);
enum ns_status ns_bench_loader(struct ns_bench *b);
enum ns_status ns_bench_nets(struct ns_bench *b);
/* Collective. Does nothing on a single rank. Rank 0 records. */
enum ns_status ns_bench_comm(struct ns_bench *b);

/* bench.html; `old` is another run's bench.json, or NULL */
enum ns_status ns_bench_page(const struct ns_bench *b, const json_t *old, const char *path);

#endif
