/*
 * tests/kernels/cases.h - one case, every implementation of every backend, against ref.
 *
 *	struct nst_case c = {.op = {.kind = NS_OP_STATS, .u.stats = {3, 8, 8, 1}}};
 *	nst_in(&c, NS_STATS_X, NST_U8, 3 * 8 * 8, NST_BITS, 0);
 *	nst_out(&c, NS_STATS_Y, NST_F32, 3 * NS_STAT_COUNT, NST_EXACT);
 *	nst_check(&c, &tally);                    asserts
 *	nst_report(&tally, NS_OP_STATS);          prints, and asserts that every implementation ran
 *
 * Inputs are filled from Philox, keyed by slot, so that a case is the same everywhere. Every buffer ends in 64
 * guard bytes that must survive; outputs start as NaN, so that what is not written is found; each plan runs
 * twice and must give the same bytes.
 *
 * NST_CASES=pairs: of a product of shapes, flags and types only pairs remain (nst_in_pairs()), for ASan's build and ./run quick.
 * NST_CASES=memory, for MemorySanitizer and coverage, which ask what is read and which lines run, not for numbers: pairs; each plan runs
 * once, and its answer is compared with nothing.
 */
#ifndef NS_TESTS_CASES_H
#define NS_TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/backend.h"

enum nst_type { /* of enum ns_dtype */
		NST_U8 = NS_U8,
		NST_F32 = NS_F32,
		NST_BF16 = NS_BF16,
		NST_F64 = NS_F64,
		NST_I32 = NS_I32,
		NST_I64 = NS_I64
};

enum nst_fill {
	NST_BITS,     /* integers below `arg` (0: 256) */
	NST_UNIT,     /* [-1, 1) */
	NST_POSITIVE, /* [0.5, 1.5) */
	NST_COARSE,   /* multiples of 1/4 in [-1, 1]: many ties */
	NST_LABEL,    /* integers -1 .. arg - 1 */
	NST_GIVEN     /* the bytes at `given` */
};

/* Tolerances are relative to the largest magnitude of the tensor, or to `scale` if that is more; 0: same bytes. */
#define NST_EXACT 0.0

struct nst_tensor { /* count 0: the slot stays NULL */
	enum nst_type type;
	int64_t count;
	enum nst_fill fill;
	int arg;
	const void *given;
	double tolerance, scale;
	int state; /* an output that is read first: filled, not NaN */
};

struct nst_case {
	char label[128];
	struct ns_op op;
	struct nst_tensor in[NS_OP_MAX_IN], out[NS_OP_MAX_OUT];
};

#define NST_MAX_IMPLS 16
struct nst_tally { /* rows appear as implementations are met */
	struct {
		const struct ns_backend *backend;
		const struct ns_impl *impl;
		int ran, declined;
	} row[NST_MAX_IMPLS];
	int rows;
};

size_t nst_type_bytes(enum nst_type type);
double nst_get(const void *p, enum nst_type type, int64_t i);
void nst_set(void *p, enum nst_type type, int64_t i, double v);
/* malloc()ed */
void *nst_filled(const struct nst_tensor *t, int slot);

void nst_in(struct nst_case *c, int slot, enum nst_type type, int64_t count, enum nst_fill fill, int arg);
void nst_given(struct nst_case *c, int slot, enum nst_type type, int64_t count, const void *bytes);
void nst_out(struct nst_case *c, int slot, enum nst_type type, int64_t count, double tolerance);
/* an output that is also read */
void nst_state(struct nst_case *c, int slot, enum nst_type type, int64_t count, enum nst_fill fill, double tolerance);

/* a device and a queue of one backend */
struct nst_rig {
	const struct ns_backend *backend;
	struct ns_device *dev;
	struct ns_queue *queue;
};
void nst_rig_open(struct nst_rig *rig, const char *backend);
void nst_rig_close(struct nst_rig *rig);

/* Run `c` with the implementation `impl`; out[] are malloc()ed. NS_DECLINED as from make. Weights go through
 * NS_OP_REORDER as the plan's layouts ask. */
enum ns_status nst_run(const struct nst_rig *rig, const struct nst_case *c, const char *impl, void *out[NS_OP_MAX_OUT]);
void nst_outputs_free(void *out[NS_OP_MAX_OUT]);
/* ref's answer: for tests of what is known */
void nst_run_ref(const struct nst_case *c, void *out[NS_OP_MAX_OUT]);
/* the answer of the implementation that `backend` would choose */
void nst_run_best(const char *backend, const struct nst_case *c, void *out[NS_OP_MAX_OUT]);

/* is this backend in this build, and asked for by NST_BACKENDS? */
int nst_wanted(const char *backend);
/* does NST_CASES=memory hold? */
int nst_memory_only(void);
/* Is choice `d` of `count` one that runs beside the choices `a` and `b`? Always, but under NST_CASES=pairs or memory one `d` is left for each
 * pair (a, b); each pair (a, d) and (b, d) still comes where there are at least `count` of the other. */
int nst_in_pairs(size_t a, size_t b, size_t d, size_t count);
void nst_check(const struct nst_case *c, struct nst_tally *tally);
void nst_report(const struct nst_tally *tally, enum ns_op_kind kind);

/* element type of activations of `dtype`, and of the parameters beside them */
static inline enum nst_type nst_of(enum ns_dtype dtype)
{
	return (enum nst_type)dtype;
}

static inline enum nst_type nst_param(enum ns_dtype dtype)
{
	return dtype == NS_F64 ? NST_F64 : NST_F32;
}

#endif
