/* A shard. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_shard *s;

	fuzz_folder();
	if (ns_shard_open(&s, fuzz_file("x.h5", data, size)) != NS_OK)
		return 0;
	fuzz_shard_read(s);
	ns_shard_close(s);
	return 0;
}
