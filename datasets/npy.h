/* datasets/npy.h - NumPy's array files, version 1 to 3: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef NS_NPY_H
#define NS_NPY_H

#include <stdint.h>

#include "kernels/status.h"

/* A matrix of little-endian float32 or float64 in C order, as floats; the caller frees *x (rows, columns). */
enum ns_status ns_npy_read(const char *path, float **x, int64_t *rows, int *columns);

#endif
