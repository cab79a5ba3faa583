/* jobs/drift/verdict.c - the verdict: of one window alone, or of tonight among the nights of a history. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

#define UNUSUAL		10 /* times the level of an alarm: so many nights a year are said to be unusual for each false alarm */
#define NS_AUDIT_ENOUGH 30 /* with fewer audited rows the measured accuracy of one window does not decide */

/* Has accuracy fallen by more than the tolerance, with the difference's interval (Newcombe 1998, from both Wilson intervals) above 0? */
static int fell(double base, double base_low, double now, double now_high, double tolerance)
{
	return base - now > tolerance && base - now > sqrt((base - base_low) * (base - base_low) + (now_high - now) * (now_high - now));
}

static int is_measured(const struct ns_drift *s)
{
	return !isnan(s->measured) && s->audited >= NS_AUDIT_ENOUGH && !isnan(s->base) && s->base_rows >= NS_AUDIT_ENOUGH;
}

/* Did an estimate of accuracy fall by more than the tolerance, with its interval above 0? */
static int estimate_fell(const struct ns_drift *s)
{
	double c = s->cbpe_ref - s->cbpe, a = s->atc_ref - s->atc;

	return (c > s->tolerance && c > 1.959963984540054 * s->cbpe_error) || (a > s->tolerance && a > 1.959963984540054 * s->atc_error);
}

/*
 * Labels, however few, correct what confidences say: accuracy is the mean confidence plus the mean of (hit - confidence). They deny an estimated fall
 * where the upper end of the fall that they leave is below the tolerance.
 */
static int labels_deny(const struct ns_drift *s)
{
	const struct ns_harm_track *all = ns_drift_track(s, "all");
	double base = isnan(s->base) ? s->cbpe_ref : s->base, error;

	if (!all || !(all->labels > 0))
		return 0;
	error = sqrt(all->noise + (isnan(s->base) ? 0 : s->base * (1 - s->base) / fmax(1, (double)s->base_rows)));
	return base - all->accuracy + 1.959963984540054 * error < s->tolerance;
}

static int harm_measured(const struct ns_drift *s)
{
	return is_measured(s) && fell(s->base, s->base_low, s->measured, s->measured_high, s->tolerance);
}

/*
 * Families of tests, each corrected by itself at its share of alpha: columns and counts of the whole window; its rows jointly (MMD, whose p
 * is never below 1 / (1 + P): corrected together with a thousand columns it could never be significant); slices.
 */
enum family { COLUMNS, JOINT, SLICES, FAMILIES };

static enum family family_of(const struct ns_drift_test *t)
{
	return *t->slice ? SLICES : !strcmp(t->method->name, "mmd") ? JOINT : COLUMNS;
}

/* Shares of alpha: a family without tests has none; what is left goes to the columns, or without columns to rows, then slices. */
static void alpha_shares(const struct ns_drift *s, double share[FAMILIES])
{
	static const double wanted[FAMILIES] = {0, 0.1, 0.2};
	int tested[FAMILIES] = {0}, f, i, rest = FAMILIES;
	double left = 1;

	for (i = 0; i < s->count; i++)
		if (s->tests[i].method->decides && !isnan(s->tests[i].p))
			tested[family_of(&s->tests[i])] = 1;
	for (f = FAMILIES; f-- > 0;)
		rest = tested[f] ? f : rest;
	for (f = 0; f < FAMILIES; f++) {
		share[f] = tested[f] && f != rest ? wanted[f] : 0;
		left -= share[f];
	}
	if (rest < FAMILIES)
		share[rest] = left;
}

double ns_drift_joint_share(const struct ns_drift *s)
{
	double share[FAMILIES];

	alpha_shares(s, share);
	return share[JOINT];
}

/* Corrects and decides the tests of one family at its share of alpha. */
static void decide_family(struct ns_drift *s, enum family family, double share)
{
	double *p = malloc(sizeof *p * 2 * (size_t)(s->count + 1)), *adjusted = p + s->count;
	int i, n = 0, bh = !strcmp(s->correction, "bh");

#define IS_OURS(t) ((t)->method->decides && family_of(t) == family)
	for (i = 0; p && i < s->count; i++)
		if (IS_OURS(&s->tests[i]) && !isnan(s->tests[i].p))
			p[n++] = s->tests[i].p;
	if (p && bh)
		ns_stat_benjamini_hochberg(p, adjusted, n);
	else if (p)
		ns_stat_holm(p, adjusted, n);
	for (i = n = 0; p && i < s->count; i++) {
		struct ns_drift_test *t = &s->tests[i];

		if (!IS_OURS(t))
			continue;
		if (isnan(t->p)) {
			t->status = NS_DRIFT_UNTESTED;
			continue;
		}
		t->p_adjusted = fmin(1, adjusted[n++] / share);
		/* BH rejects at <= alpha, Holm below it */
		if (bh ? t->p_adjusted > s->alpha : t->p_adjusted >= s->alpha)
			t->status = NS_DRIFT_NONE;
		else
			t->status = t->effect >= s->min_effect ? NS_DRIFT_MATERIAL : NS_DRIFT_STATISTICAL;
		if (t->status > s->status)
			s->status = t->status;
	}
#undef IS_OURS
	free(p);
}

/* What a slice is held to: its own rows of the reference, or, where it is guarded and the reference lacks them, all of it. */
static void baseline_of(const struct ns_drift *s, const struct ns_slice *l, double *base, double *low, int64_t *rows)
{
	int lacking = l->guarded && l->base_rows < NS_AUDIT_ENOUGH;

	*base = lacking ? s->base : l->base;
	*low = lacking ? s->base_low : l->base_low;
	*rows = lacking ? s->base_rows : l->base_rows;
}

/* The status of each slice from its tests; harm is decided as for the whole window. */
static void decide_slices(struct ns_drift *s)
{
	int i, j;

	for (i = 0; i < s->slice_count; i++) {
		struct ns_slice *l = &s->slices[i];
		double base, low;
		int64_t rows;

		for (j = 0; j < s->count; j++) {
			const struct ns_drift_test *t = &s->tests[j];

			if (t->of != i || t->status > NS_DRIFT_HARMFUL)
				continue;
			if (t->status > l->status && l->status < NS_DRIFT_HARMFUL)
				l->status = t->status;
			if (!(t->effect <= l->moved)) {
				l->moved = t->effect;
				snprintf(l->column, sizeof l->column, "%s", t->column);
			}
		}
		baseline_of(s, l, &base, &low, &rows);
		if (l->status > NS_DRIFT_HARMFUL && !l->guarded)
			continue;
		if (l->audited >= NS_AUDIT_ENOUGH && rows >= NS_AUDIT_ENOUGH) {
			if (fell(base, low, l->measured, l->high, s->tolerance))
				l->status = NS_DRIFT_HARMFUL;
		} else if (l->status == NS_DRIFT_MATERIAL && l->confidence < l->confidence_ref - s->tolerance) {
			l->status = NS_DRIFT_HARMFUL;
		}
	}
}

static void say(struct ns_drift *s, const char *what)
{
	size_t at = strlen(s->said);

	snprintf(s->said + at, sizeof s->said - at, "%s%s", at ? "; " : "", what);
}

/* One window alone: its tests decide, and every night would be one of many. */
static void decide_alone(struct ns_drift *s)
{
	const struct ns_harm_track *half = ns_drift_track(s, "half");
	int i;

	/* estimated harm counts only with a material shift; measured harm counts by itself (concept drift) */
	if (s->status == NS_DRIFT_MATERIAL && estimate_fell(s) && !labels_deny(s))
		say(s, "the estimated accuracy fell");
	if (harm_measured(s)) {
		say(s, "the measured accuracy fell");
		s->same_night = half && half->labels >= NS_AUDIT_ENOUGH && half->world.accuracy - half->accuracy > s->tolerance &&
				half->world.accuracy - half->accuracy > 1.959963984540054 * sqrt(half->noise);
	}
	for (i = 0; i < s->slice_count; i++)
		if (s->slices[i].guarded && s->slices[i].status == NS_DRIFT_HARMFUL)
			say(s, s->slices[i].name);
	if (*s->said)
		s->status = NS_DRIFT_HARMFUL;
	else if (s->status == NS_DRIFT_MATERIAL)
		say(s, "tests of this window alone");
}

/* Among the nights: tests of this window describe it, and decide nothing. */
static void decide_among_nights(struct ns_drift *s)
{
	const struct ns_nights_verdict *v = &s->nights;
	double least = 1;
	int f, m, i;

	for (f = 0; f < s->families; f++)
		for (m = 0; m < NS_JUDGE_MEMORIES; m++)
			least = isnan(v->p[f][m]) ? least : fmin(least, v->p[f][m]);
	s->rejected = v->alarm;
	s->level = v->level;
	s->evidence = s->families ? v->level / least : NAN;
	s->status = v->alarm ? NS_DRIFT_MATERIAL : least < UNUSUAL * v->level ? NS_DRIFT_STATISTICAL : NS_DRIFT_NONE;
	for (f = 0; f < s->families; f++)
		if (v->families >> f & 1)
			say(s, ns_effect_family(s->family[f]));
	if (s->estimate_p < s->estimate_level && !labels_deny(s) && fmax(s->cbpe_ref - s->cbpe, s->atc_ref - s->atc) >= s->tolerance) {
		s->status = NS_DRIFT_HARMFUL;
		say(s, "the estimated accuracy fell");
	}
	for (i = 0; i < s->track_count; i++) {
		const struct ns_harm_track *t = &s->tracks[i];
		int half = !strcmp(t->name, "half"), all = !strcmp(t->name, "all"), k;

		if (!t->verdict.harmful)
			continue;
		s->status = NS_DRIFT_HARMFUL;
		s->same_night |= half;
		if (all || (half && !ns_drift_track(s, "all")->verdict.harmful))
			say(s, "the measured accuracy fell");
		if (!all && !half)
			say(s, t->name);
		for (k = 0; k < s->slice_count; k++)
			if (s->slices[k].guarded && !strcmp(s->slices[k].name, t->name))
				s->slices[k].status = NS_DRIFT_HARMFUL;
	}
}

void ns_drift_decide(struct ns_drift *s)
{
	double share[FAMILIES];
	int f;

	s->status = NS_DRIFT_NONE;
	alpha_shares(s, share);
	for (f = 0; f < FAMILIES; f++)
		decide_family(s, (enum family)f, share[f]);
	decide_slices(s);
	if (s->past)
		decide_among_nights(s);
	else
		decide_alone(s);
}
