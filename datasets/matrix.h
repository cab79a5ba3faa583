/*
 * datasets/matrix.h - rows of floats that need not fit into memory: data sets of HDF5 files one behind the other, a .npy file, or memory.
 *
 * What is stored as little-endian float32 in one piece is read by pread, by any number of threads; anything else (chunks, filters, other
 * types) through HDF5, which serves one at a time. Files are open only while they are read, and must not change meanwhile: NS_DIGEST.
 * Zeroed is empty: a matrix that is not there has d = 0.
 */
#ifndef NS_MATRIX_H
#define NS_MATRIX_H

#include <hdf5.h>
#include <stdint.h>
#include <sys/stat.h>

#include "kernels/status.h"

struct ns_matrix {
	int64_t rows;
	int d;
	float *data; /* (rows, d), owned; NULL: in `parts` */
	struct ns_matrix_part *parts;
	int part_count;
	struct ns_matrix_open *open;
};

void ns_matrix_release(struct ns_matrix *m);
/* rows of a data set behind those that are there already, whose d it must have; of `rows` rows. The file, which is `st`, may be closed afterwards. */
enum ns_status ns_matrix_add_h5(struct ns_matrix *m, hid_t file, const char *path, const char *name, int64_t rows, const struct stat *st);
/* Read all rows that libhdf5 has to unpack from `file`, its only part's, and drop them: that they can be read. */
enum ns_status ns_matrix_look(const struct ns_matrix *m, hid_t file);
/* a file of numpy.save(): a matrix of little-endian float32 or float64 in C order */
enum ns_status ns_matrix_add_npy(struct ns_matrix *m, const char *path);
/* rows [first, first + n) into out (n, d); any thread */
enum ns_status ns_matrix_read(const struct ns_matrix *m, int64_t first, int64_t n, float *out);
/* the rows with these numbers, in their order, into out (n, d) */
enum ns_status ns_matrix_pick(const struct ns_matrix *m, const int64_t *row, int64_t n, float *out);
/* the file that holds a row, for messages; "" in memory */
const char *ns_matrix_path(const struct ns_matrix *m, int64_t row);

#endif
