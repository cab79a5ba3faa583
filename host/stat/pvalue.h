/*
 * host/stat/pvalue.h - the distributions behind the tests. Definitions: docs/drift.md.
 */
#ifndef NS_PVALUE_H
#define NS_PVALUE_H

#include <stdint.h>

/*
 * Two-sided two-sample Kolmogorov-Smirnov. Exact where both sizes are at most 10,000: equal sizes by the closed form of
 * Gnedenko and Korolyuk, others by counting lattice paths (Hodges 1957; Schroer and Trenkler 1995); else the
 * one-sample distribution at n = round(mn / (m + n)) (Marsaglia, Tsang, Wang 2003), as scipy's `asymp` has it.
 */
double ns_stat_ks_p(double d, int64_t m, int64_t n);
/* the third way alone, for any size */
double ns_stat_ks_p_asymptotic(double d, int64_t m, int64_t n);

/* P(chi-square with `df` degrees >= x) */
double ns_stat_chi2_sf(double x, double df);
/*
 * Counts of K classes in two samples as a 2 x K table: statistic, p; Yates' correction where only two classes occur;
 * a single class gives p = 1. *v is Cramer's V.
 */
double ns_stat_chi2_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *v);
/* log-likelihood ratio of the 2 x K table (Sokal, Rohlf), p by chi-square with Williams' correction; *least: its smallest expected count */
double ns_stat_g_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *least);
/*
 * The chi-square statistic's p where expected counts are small: (1 + tables at least as far) / (1 + draws), tables drawn with
 * the margins of this one, keyed by the seed.
 */
double ns_stat_chi2_draws(const int64_t *ref, const int64_t *cur, int k, int draws, uint64_t seed);
/* Population stability index with half a count added to each cell. */
double ns_stat_psi(const int64_t *ref, const int64_t *cur, int k);
/* the 95 % points without drift of k cells and m and n independent rows (Yurdakul 2018): PSI's, and Jensen-Shannon's */
double ns_stat_psi_no_drift(int k, double m, double n);
double ns_stat_js_no_drift(int k, double m, double n);
/* Jensen-Shannon divergence of two count vectors, in nats */
double ns_stat_js(const int64_t *ref, const int64_t *cur, int k);

/* Holm: adjusted[i] for p[i]; Benjamini-Hochberg likewise */
void ns_stat_holm(const double *p, double *adjusted, int n);
void ns_stat_benjamini_hochberg(const double *p, double *adjusted, int n);

/* P(Bin(n, p) >= k), 0 < p < 1 */
double ns_stat_binomial_sf(int64_t k, int64_t n, double p);
/* Wilson's 95 % interval of k hits in n. */
void ns_stat_wilson(int64_t k, int64_t n, double *low, double *high);

/*
 * Black-box shift estimation (Lipton, Wang, Smola 2018): w = C^-1 mu, C[i * k + j] = P(predicted i, label j) on the
 * reference, mu[i] = P(predicted i) now. Returns the condition number of C (1-norm), infinite where it is singular.
 */
double ns_stat_bbse(const double *c, const double *mu, int k, double *w);

#endif
