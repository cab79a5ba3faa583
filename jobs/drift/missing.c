/* jobs/drift/missing.c - values that are missing: a share of a column, which is tested as such. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdio.h>

enum ns_status ns_drift_missing(struct ns_drift *s, const char *kind, const char *name, const int64_t missing[2], double design)
{
	int64_t ref[2] = {s->ref.rows - missing[0], missing[0]}, cur[2] = {s->cur.rows - missing[1], missing[1]};
	char column[64];
	struct ns_drift_test *t;

	if (!missing[0] && !missing[1])
		return NS_OK;
	snprintf(column, sizeof column, "missing: %.50s", name);
	ns_drift_cut_utf8(column);
	t = ns_drift_add(s, kind, &ns_detector_chi2, column);
	if (!t)
		return ns_fail(NS_NO_MEMORY, "out of memory for tests");
	t->p = ns_stat_chi2_counts(ref, cur, 2, &t->statistic, &t->effect);
	if (s->ref_block) {
		t->p = ns_stat_chi2_sf(t->statistic / fmax(1, design), 1);
		t->note = "values that are no finite numbers; divided by the design effect of sequences";
		return NS_OK;
	}
	if (missing[0] + missing[1] < s->ref.rows + s->cur.rows)
		t->p = ns_stat_fisher(ref, cur);
	else
		t->p = 1; /* nothing is there in either window */
	t->note = "values that are no finite numbers: p by Fisher's exact test";
	return NS_OK;
}
