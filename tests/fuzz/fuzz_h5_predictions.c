/* Predictions, or a user's own columns; and what `drift` asks before: is it a data set? */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void rows_of(const struct ns_matrix *m)
{
	int64_t n = m->rows < 3 ? m->rows : 3, pick[1] = {m->rows - 1};
	float *out = m->d && n ? malloc(sizeof *out * (size_t)(n * m->d)) : NULL;

	if (!out)
		return;
	(void)ns_matrix_read(m, 0, n, out);
	(void)ns_matrix_pick(m, pick, 1, out);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_predictions p;
	const char *path;
	int is;

	fuzz_folder();
	path = fuzz_file("x.h5", data, size);
	(void)ns_dataset_is(path, &is);
	if (ns_predictions_open(&p, path) != NS_OK)
		return 0;
	rows_of(&p.prob);
	rows_of(&p.stats);
	rows_of(&p.embedding);
	ns_predictions_release(&p);
	return 0;
}
