/* datasets/decode/decode.h - JPEG and PNG files in memory to pixels, and pixels to another size. */
#ifndef NS_DECODE_H
#define NS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

/* "jpeg", "png", or NULL by the first bytes */
const char *ns_image_kind(const uint8_t *data, size_t bytes);
/* *c: 1 or 3 for that many channels, 0: as the file has it. The caller frees *pixels. Messages name no file. */
enum ns_status ns_decode(const uint8_t *data, size_t bytes, int *h, int *w, int *c, uint8_t **pixels);
/* Scale to cover h x w with the middle kept: area average down, bilinear up. */
enum ns_status ns_resize(const uint8_t *x, int xh, int xw, int c, uint8_t *y, int h, int w);
enum ns_status ns_png_write(const char *path, const uint8_t *pixels, int h, int w, int c);
/* PNG in memory, for reports; the caller frees */
enum ns_status ns_png_encode(const uint8_t *pixels, int h, int w, int c, uint8_t **png, size_t *bytes);

#endif
