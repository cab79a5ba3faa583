/* datasets/decode/tiff_inner.h - TIFF's samples as they are stored. */
#ifndef NS_DECODE_TIFF_INNER_H
#define NS_DECODE_TIFF_INNER_H

#include <tiffio.h>

#include "datasets/decode/decode_inner.h"

/* Is it of a kind whose samples are the pixels: grey, RGB or CMYK, of up to 16 bits? *alpha: they have an alpha of their own. */
int ns_tiff_has_samples(TIFF *tiff, int *alpha);
/* They, out->h x out->w of them; all other kinds libtiff turns into colours. */
enum ns_status ns_tiff_samples(TIFF *tiff, struct ns_raster *out);

#endif
