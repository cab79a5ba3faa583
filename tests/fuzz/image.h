/* tests/fuzz/image.h - what holds for any bytes that are taken for an image. */
#ifndef NS_FUZZ_IMAGE_H
#define NS_FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Looks, and decodes as they are, as grey and as colour, each twice with memory that holds other bytes the second time: pixels that differ
 * were never written. (ASan does not see that, and MSan would want the libraries built with it.) The header and the pixels say the same, no
 * more memory is asked for than the header's pixels want, and of one pixel too many none is decoded.
 */
void fuzz_image(const uint8_t *data, size_t size);

#endif
