/* An ONNX file, and one of external data beside it. */
#include "tests/fuzz/fuzz.h"

#include "host/onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_onnx *o;
	int64_t bytes;

	fuzz_folder();
	fuzz_file("weights.bin", "0123456789abcdef0123456789abcdef", 32);
	if (ns_onnx_read(&o, fuzz_file("m.onnx", data, size)) != NS_OK)
		return 0;
	(void)ns_onnx_check_external(o, &bytes);
	ns_onnx_free(o);
	return 0;
}
