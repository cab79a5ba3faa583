/*
 * host/stat/stat.h - statistics: distributions of the tests, two-sample comparisons, principal directions. It knows no window and no page.
 */
#ifndef NS_STAT_H
#define NS_STAT_H

#include <stdint.h>

#include "host/run/run.h"
#include "kernels/status.h"

/*
 * --- pvalue: the distributions of the tests. Definitions: docs/drift.md.
 */

/*
 * Two-sided two-sample Kolmogorov-Smirnov. Exact where m n is at most 10^8: equal sizes by the closed form of
 * Gnedenko and Korolyuk, others by counting lattice paths (Hodges 1957; Schroer and Trenkler 1995); else the
 * one-sample distribution at n = round(mn / (m + n)) (Marsaglia, Tsang, Wang 2003), as scipy's `asymp` has it, but never less than 2 / C(m + n, n).
 */
double ns_stat_ks_p(double d, int64_t m, int64_t n);
/* the last of these alone, for any size */
double ns_stat_ks_p_asymptotic(double d, int64_t m, int64_t n);

/* P(chi-square with `df` degrees >= x) */
double ns_stat_chi2_sf(double x, double df);
/*
 * Counts of K classes in two samples as a 2 x K table: statistic, p; Yates' correction where only two classes occur;
 * a single class gives p = 1. *v is Cramer's V.
 */
double ns_stat_chi2_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *v);
/* Fisher's exact test of a 2 x 2 table: P of tables with these margins that are no more probable than this one. */
double ns_stat_fisher(const int64_t ref[2], const int64_t cur[2]);
/* log-likelihood ratio of the 2 x K table (Sokal, Rohlf), p by chi-square with Williams' correction; *least: its smallest expected count */
double ns_stat_g_counts(const int64_t *ref, const int64_t *cur, int k, double *statistic, double *least);
/*
 * The chi-square statistic's p for small expected counts: (1 + tables at least as extreme) / (1 + draws), with tables drawn
 * at random with the margins of this one, keyed by the seed.
 */
double ns_stat_chi2_draws(const int64_t *ref, const int64_t *cur, int k, int draws, uint64_t seed);
/* Population stability index (PSI) with half a count added to each cell. */
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

/* --- paired: of the rows on which two answers differ, `better` for the first and `worse` for the second. McNemar's exact p, two-sided. */
double ns_stat_mcnemar(int64_t better, int64_t worse);
/*
 * 95 % interval of the change of accuracy: the score interval (Tango 1998), widened to the exact one given the disagreements (Clopper, Pearson), so
 * that 0 is inside wherever McNemar's test is not significant.
 */
void ns_stat_paired(int64_t rows, int64_t better, int64_t worse, double *low, double *high);

/* --- quantile: P(Beta(a, b) <= x); P(F >= x), P(t >= x) and where they are p; where the standard normal's distribution is p */
double ns_stat_beta_cdf(double x, double a, double b);
double ns_stat_f_sf(double x, double d1, double d2);
double ns_stat_f_isf(double p, double d1, double d2);
double ns_stat_t_sf(double x, double df);
double ns_stat_t_isf(double p, double df);
double ns_stat_normal_quantile(double p);

/*
 * Black-box shift estimation, BBSE (Lipton, Wang, Smola 2018): w = C^-1 mu, C[i * k + j] = P(predicted i, label j) on the
 * reference, mu[i] = P(predicted i) now. Returns the condition number of C (1-norm), infinite where it is singular.
 */
double ns_stat_bbse(const double *c, const double *mu, int k, double *w);

/*
 * --- twosample: more comparisons of two samples: of one column, and of whole rows. Definitions: docs/drift.md.
 */

/* --- one column; x (m) and y (n) are sorted, finite, and not empty --- */

struct ns_stat_column {
	double ks;	    /* sup |F - G|, at the ends of ties */
	double cvm;	    /* Cramer-von Mises (Anderson 1962) with midranks */
	double wasserstein; /* integral of |F - G|, in the column's unit */
	double energy;	    /* 2 integral of (F - G)^2: squared energy distance (Szekely, Rizzo 2004) */
	double across;	    /* E|x - y|, integral of F (1 - G) + G (1 - F) */
};
void ns_stat_column(const float *x, int64_t m, const float *y, int64_t n, struct ns_stat_column *out);
/*
 * Counts the rows of both in up to `bins` bins between the reference's quantiles, with open ends, into ref and cur (bins). Returns the
 * number of bins, which ties make smaller.
 */
int ns_stat_quantile_bins(const float *x, int64_t m, const float *y, int64_t n, int bins, int64_t *ref, int64_t *cur);
/* p of Cramer-von Mises from its limit distribution, with mean and variance matched */
double ns_stat_cvm_p(double t, double m, double n);
/*
 * Basic interval (95 %) of Wasserstein's distance, whose `estimate` is known, by the Poisson bootstrap: each row counts as often as a Poisson draw
 * of mean 1, keyed (seed, column, row), says. From 4096 rows on, the sorted rows of both are divided into 512 groups: the draws of a group's
 * rows sum to one Poisson draw with their number as mean, and a row's position within its group is ignored. Samples that count as fewer
 * independent rows (counts_m, counts_n) are resampled with as many.
 */
enum ns_status ns_stat_wasserstein_interval(const float *x, int64_t m, const float *y, int64_t n, double counts_m, double counts_n, double estimate,
					    uint64_t seed, uint32_t column, double *low, double *high);

/* Poisson of this mean from two random words: by inversion, above 50 by a normal, rounded */
double ns_stat_poisson(double mean, uint32_t a, uint32_t b);

/* --- rows: x (m, d), y (n, d) --- */

/*
 * Classifier two-sample test, C2ST (Lopez-Paz, Oquab 2017): a linear discriminant learnt on half of the rows, as many of each
 * sample, judged on the other half. *accuracy, with its 95 % interval (Wilson); returns P(Bin(rows judged, 1/2) >= hits).
 * NaN if a sample has fewer than eight rows.
 */
double ns_stat_c2st(const float *x, int64_t m, const float *y, int64_t n, int d, uint64_t seed, double *accuracy, double *low, double *high);
/* Frechet distance of two normal distributions: |mu - nu|^2 + tr(S + T - 2 (S T)^1/2); S and T (d, d) */
double ns_stat_frechet(const double *mu, const double *s, const double *nu, const double *t, int d);
/* the same of the samples' moments (covariances with n - 1): Frechet inception distance, FID (Heusel et al. 2017), of these rows */
double ns_stat_fid(const float *x, int64_t m, const float *y, int64_t n, int d);
/* unbiased MMD^2 (maximum mean discrepancy) under (x'y / d + 1)^3: kernel inception distance, KID (Binkowski et al. 2018); may be negative */
double ns_stat_kid(const float *x, int64_t m, const float *y, int64_t n, int d);

/* --- labels --- */

/*
 * Confident learning (Northcutt et al. 2021), in chunks of rows: first all are given to learn(), then all to judge(). The threshold of class k is
 * the mean P(k) over rows labelled k; a row is confident in k where P(k) >= threshold - 1e-6, the most probable of several, and in another than its
 * label only where that is less probable: a class that is never predicted has a threshold of 0. joint (K, K),
 * NULL beyond 1,024 classes: labelled i, confident in j; where they differ the label is suspect. Rows without a label (-1) take no part.
 */
struct ns_stat_confident {
	int k;
	double *sum;
	int64_t *rows, *joint, suspects;
};
enum ns_status ns_stat_confident_init(struct ns_stat_confident *c, int k);
void ns_stat_confident_release(struct ns_stat_confident *c); /* zeroed is fine */
void ns_stat_confident_learn(struct ns_stat_confident *c, const float *prob, const int32_t *label, int64_t rows);
double ns_stat_confident_threshold(const struct ns_stat_confident *c, int k); /* infinite without labels */
/* suspect (rows): 1 or 0; or NULL */
void ns_stat_confident_judge(struct ns_stat_confident *c, const float *prob, const int32_t *label, int64_t rows, uint8_t *suspect);

/*
 * --- pca: the directions in which embeddings vary most. */

/*
 * First k principal directions of x (n, d), by subspace iteration on the covariance; the same bits for any number of workers.
 * mean (d), directions (k, d); out (rows, k) = (y - mean) directions'. n d^2 / 2 multiply-adds: fit to a sample.
 */
enum ns_status ns_stat_pca_fit(struct ns_workers *workers, const float *x, int64_t n, int d, int k, double *mean, double *directions);
enum ns_status ns_stat_pca_apply(const float *y, int64_t rows, int d, int k, const double *mean, const double *directions, float *out);

#endif
