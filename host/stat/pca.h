/* host/stat/pca.h - the directions in which embeddings vary most. */
#ifndef NS_STAT_PCA_H
#define NS_STAT_PCA_H

#include <stdint.h>

#include "host/workers.h"

/*
 * First k principal directions of x (n, d), by subspace iteration on the covariance; the same bits for any number of workers.
 * mean (d), directions (k, d); out (rows, k) = (y - mean) directions'. n d^2 / 2 multiply-adds: fit to a sample.
 */
enum ns_status ns_stat_pca_fit(struct ns_workers *workers, const float *x, int64_t n, int d, int k, double *mean, double *directions);
enum ns_status ns_stat_pca_apply(const float *y, int64_t rows, int d, int k, const double *mean, const double *directions, float *out);

#endif
