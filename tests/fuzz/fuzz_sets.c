/* A list of data sets, over two shards that are valid. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_dataset *d;
	int i;

	fuzz_folder();
	fuzz_copy("raw.h5", "h5_shard/raw");
	fuzz_copy("encoded.h5", "h5_shard/encoded");
	fuzz_file("list.json", data, size);
	if (fuzz_dataset_open(&d, fuzz_path("list.json")) != NS_OK)
		return 0;
	(void)ns_dataset_verify(fuzz_job(), d);
	(void)ns_dataset_label(d, d->rows - 1);
	for (i = 0; i < d->count; i++)
		if (d->shards[i]->at)
			fuzz_shard_read(d->shards[i]);
	ns_dataset_close(d);
	return 0;
}
