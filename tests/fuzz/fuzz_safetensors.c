/* Tensors by themselves, and as the weights of a small network, whole and with another classifier; the
 * architecture that they are of; a checkpoint's arrays. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void as_weights(const struct ns_found *f, int classes)
{
	struct ns_arch arch = {.stages = 1, .blocks = {1}, .width = 2, .h = 8, .w = 8, .c = 1, .classes = classes};
	const char *const names[] = {"a", "b", "c"};
	struct ns_model m;

	if (ns_model_make(&m, &arch, names, classes) != NS_OK)
		return;
	(void)ns_found_check_left(f, &m.net);
	(void)ns_model_take(&m, f, 0);
	(void)ns_model_take(&m, f, 1);
	ns_model_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t dims[4] = {6, 2, 1, 1};
	struct ns_arch arch = {.h = 8, .w = 8};
	struct ns_tensors t;
	struct ns_found f;
	const char *path;
	float out[12];

	fuzz_folder();
	path = fuzz_file("x.safetensors", data, size);
	if (ns_tensors_read(&t, path) == NS_OK) {
		(void)ns_tensors_get(&t, "weights", 1, dims, out);
		(void)ns_tensors_get(&t, "weights", 4, dims, out);
		(void)ns_tensors_has(&t, "momentum");
		(void)ns_tensors_metadata(&t, "format");
		ns_tensors_release(&t);
	}
	if (ns_found_read(&f, path) == NS_OK) {
		(void)ns_found_arch(&f, &arch);
		as_weights(&f, 2);
		as_weights(&f, 3);
		ns_found_release(&f);
	}
	return 0;
}
