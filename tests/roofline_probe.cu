/*
 * tests/roofline_probe.cu - the one-pass augmentation with its path fixed to what a common recipe takes, for tests/roofline.sh to
 * count its instructions: whole pixels inside the image (crop, flip), and between pixels inside it with colour.
 */
#include "kernels/cuda/augment.cu"

#define PROBE(T, HOW, PATH) \
	template __global__ void augment_pass<T, 3, HOW, 8, 1, PATH>(const recipe, const uint8_t *, const ns_augment_sample *, T *)

PROBE(ns_bf16, PIXELS, CROP);
PROBE(ns_bf16, PIXELS, AFFINE);
PROBE(uint8_t, PIXELS, AFFINE);
PROBE(ns_bf16, WORDS, AFFINE);
