/* What a manifest selected. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_selection s;

	fuzz_folder();
	if (ns_selection_read(fuzz_file("x.h5", data, size), &s) == NS_OK)
		ns_selection_release(&s);
	return 0;
}
