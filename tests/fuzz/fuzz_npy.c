/* A file of numpy.save(): its header, and first and last rows. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_matrix m = {0};
	const char *path;
	float *out;

	fuzz_folder();
	path = fuzz_file("x.npy", data, size);
	if (ns_matrix_add_npy(&m, path) == NS_OK && m.rows && (out = malloc(sizeof *out * 2 * (size_t)m.d))) {
		const int64_t pick[2] = {m.rows - 1, 0};

		(void)ns_matrix_read(&m, 0, 1, out);
		(void)ns_matrix_read(&m, m.rows - 1, 1, out);
		(void)ns_matrix_pick(&m, pick, 2, out);
		free(out);
	}
	ns_matrix_release(&m);
	return 0;
}
