/* predictions.json over a file that is valid. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_predictions p;

	fuzz_folder();
	fuzz_copy("p/predictions-00000.h5", "h5_predictions/small");
	fuzz_file("p/predictions.json", data, size);
	if (ns_predictions_open(&p, fuzz_path("p")) == NS_OK)
		ns_predictions_release(&p);
	return 0;
}
