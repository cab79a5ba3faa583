/* datasets/predict/npy_inner.h - NumPy's array files, version 1 to 3: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef NS_NPY_H
#define NS_NPY_H

#include <stdint.h>
#include <sys/stat.h>

#include "kernels/status.h"

/* A matrix of little-endian float32 or float64 in C order: bytes of a value, and where in the file its values begin; all of them are there. st: the file's. */
enum ns_status ns_npy_shape(const char *path, int *each, int64_t *offset, int64_t *rows, int *columns, struct stat *st);

#endif
