/* Records of two checkpoints and the newer one's tensors. */
#include "tests/fuzz/fuzz.h"

#include "host/train/checkpoint_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"c/00000002.json", "c/00000001.json", "c/00000002.safetensors"};
	float arrays[2][6];
	struct ns_checkpoint c = {.floats = 6, .arrays = {arrays[0], arrays[1]}};
	struct fuzz_part part[3];
	int n = fuzz_split(data, size, part, 3), i;

	fuzz_folder();
	for (i = 0; i < n; i++)
		fuzz_file(names[i], part[i].data, part[i].size);
	fuzz_copy("c/00000001.safetensors", "safetensors/checkpoint");
	(void)ns_checkpoint_read(fuzz_path("c"), &c, fuzz_job()->log);
	json_decref(c.metrics);
	return 0;
}
