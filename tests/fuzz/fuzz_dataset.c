/* dataset.json over a shard that is valid. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_dataset *d;

	fuzz_folder();
	fuzz_copy("d/shard-00000.h5", "h5_shard/raw");
	fuzz_file("d/dataset.json", data, size);
	if (fuzz_dataset_open(&d, fuzz_path("d")) != NS_OK)
		return 0;
	(void)ns_dataset_verify(fuzz_job(), d);
	(void)ns_dataset_label(d, d->rows - 1);
	ns_dataset_close(d);
	return 0;
}
