/* host/shift/pca.h - the directions in which embeddings vary most. */
#ifndef NS_PCA_H
#define NS_PCA_H

#include <stdint.h>

#include "kernels/status.h"

/*
 * First k principal directions of x (n, d), by subspace iteration on the covariance, the same bits always.
 * mean (d), directions (k, d); out (rows, k) = (y - mean) directions'.
 */
enum ns_status ns_pca_fit(const float *x, int64_t n, int d, int k, double *mean, double *directions);
void ns_pca_apply(const float *y, int64_t rows, int d, int k, const double *mean, const double *directions, float *out);

#endif
