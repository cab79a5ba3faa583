/* model.json beside weights that are a valid file; what is read is put as JSON again. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_model m;
	const char *weights;

	fuzz_folder();
	weights = fuzz_copy("model.safetensors", "safetensors/model");
	if (ns_model_read(&m, fuzz_file("model.json", data, size), weights) == NS_OK) {
		json_decref(ns_model_to_json(&m, m.digest));
		ns_model_release(&m);
	}
	return 0;
}
