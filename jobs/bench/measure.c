/* jobs/bench/measure.c - the clock of the bench, and a row of its table. */
#include "jobs/bench/bench_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS 7

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void ns_bench_quartiles(double *samples, int n, double rate[4])
{
	qsort(samples, (size_t)n, sizeof *samples, by_double);
	rate[0] = samples[n / 4];
	rate[1] = samples[n / 2];
	rate[2] = samples[n - 1 - n / 4];
	rate[3] = samples[n - 1];
}

enum ns_status ns_bench_clock(struct ns_bench *b, ns_bench_fn *fn, void *context, double items, double rate[4])
{
	double r[REPEATS];
	int i;

	NS_TRY(fn(context)); /* warm up */
	for (i = 0; i < REPEATS; i++) {
		double start = ns_now(), t;
		int64_t n = 0;

		do {
			NS_TRY(fn(context));
			n++;
			t = ns_now() - start;
		} while (t < b->seconds / REPEATS);
		r[i] = (double)n * items / t;
	}
	ns_bench_quartiles(r, REPEATS, rate);
	return NS_OK;
}

int ns_bench_is_selected(const struct ns_bench *b, const char *name)
{
	return !b->only || strstr(name, b->only);
}

struct ns_measured *ns_bench_record(struct ns_bench *b, const char *name, const char *unit, const double rate[4], double flops, double bytes,
				    double peak)
{
	double compute = flops > 0 ? peak / flops : INFINITY, memory = bytes > 0 ? b->copy / bytes : INFINITY;
	struct ns_measured *m = &b->rows[b->count];

	b->count += b->count < NS_BENCH_ROWS - 1;
	*m = (struct ns_measured){.rate = rate[1], .low = rate[0], .high = rate[2], .flops = flops, .bytes = bytes};
	snprintf(m->name, sizeof m->name, "%s", name);
	snprintf(m->unit, sizeof m->unit, "%s", unit);
	m->bound = compute < memory ? "arithmetic" : "memory";
	m->share = rate[1] / fmin(compute, memory);
	ns_log_event(b->job->log, "bench",
		     json_pack("{s:s, s:f, s:s, s:f, s:s}", "what", name, "rate", rate[1], "unit", unit, "share", m->share, "of", m->bound));
	return m;
}
