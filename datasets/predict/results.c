/* datasets/predict/results.c - the answers of rows as texts of any length: all bytes end to end, and where each begins. */
#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5.h"
#include "datasets/predict/predictions_inner.h"

enum ns_status ns_results_write(hid_t file, const char *path, const struct ns_predictions *p)
{
	hsize_t offsets = (hsize_t)p->rows + 1, bytes = p->result_offset ? p->result_offset[p->rows] : 0;

	if (!p->result_offset)
		return NS_OK;
	NS_TRY(ns_h5_write(file, path, "result_offset", NS_H5_U64, 1, &offsets, p->result_offset));
	return ns_h5_write(file, path, "result", NS_H5_U8, 1, &bytes, p->result);
}

/* Offsets of one file: from 0, none before the one before it, the last the number of bytes. */
static enum ns_status check(const uint64_t *offset, int64_t rows, uint64_t bytes, const char *path)
{
	int64_t i;

	for (i = 0; i <= rows; i++)
		if ((i ? offset[i] < offset[i - 1] : offset[0] != 0) || offset[i] > bytes)
			return ns_fail(NS_BAD_DATA, "%s: result_offset[%lld] = %llu, expected offsets that grow from 0 to %llu", path, (long long)i,
				       (unsigned long long)offset[i], (unsigned long long)bytes);
	return offset[rows] == bytes ? NS_OK
				     : ns_fail(NS_BAD_DATA, "%s: result has %llu bytes, but its rows end at %llu", path, (unsigned long long)bytes,
					       (unsigned long long)offset[rows]);
}

static enum ns_status join(struct ns_predictions *p, const uint64_t *offset, const void *text, int64_t rows, const char *path)
{
	uint64_t before = p->result_offset ? p->result_offset[p->rows] : 0, *offsets;
	char *all;
	int64_t i;

	offsets = realloc(p->result_offset, sizeof *offsets * (size_t)(p->rows + rows + 1));
	p->result_offset = offsets ? offsets : p->result_offset;
	all = realloc(p->result, (size_t)(before + offset[rows]) + 1);
	p->result = all ? all : p->result;
	if (!offsets || !all)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the answers of %lld rows", path, (long long)rows);
	memcpy(all + before, text, (size_t)offset[rows]);
	for (i = 0; i <= rows; i++)
		offsets[p->rows + i] = before + offset[i];
	return NS_OK;
}

enum ns_status ns_results_append(struct ns_predictions *p, hid_t file, const char *path, int64_t rows)
{
	void *offset = NULL, *text = NULL;
	hsize_t dims[4];
	enum ns_status status;
	int rank;

	if (!ns_h5_has(file, "result") || !ns_h5_has(file, "result_offset"))
		return ns_fail(NS_BAD_DATA, "%s: has no answers (result, result_offset): its model classifies, or it was written by hand", path);
	NS_TRY(ns_h5_shape(file, path, "result", &rank, dims));
	NS_GO(ns_h5_read(file, path, "result_offset", NS_H5_U64, 1, (hsize_t)rows + 1, &offset));
	NS_GO(ns_h5_read(file, path, "result", NS_H5_U8, 1, dims[0], &text));
	NS_GO(check(offset, rows, dims[0], path));
	status = join(p, offset, text, rows, path);
out:
	free(offset);
	free(text);
	return status;
}
