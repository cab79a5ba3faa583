/*
 * datasets/decode/jxl.c - JPEG XL by libjxl, a bare stream and one in boxes; of an animation the first frame.
 *
 * A stream that kept its samples (without loss, or made of a JPEG) gives them. One that was taken to XYB comes back in the colours that it
 * names, and in sRGB where it names them by an ICC profile; that is what djxl does too, where it applies no profile.
 */
#include "datasets/decode/decode_inner.h"

#include <jxl/decode.h>
#include <jxl/version.h>
#include <stdlib.h>
#include <string.h>

#define EXIF_MOST 65536 /* bytes of EXIF that are read: what is wanted stands at its beginning, a thumbnail behind it */

static int is_jxl(const uint8_t *d, size_t bytes)
{
	return (bytes > 2 && !memcmp(d, "\xff\x0a", 2)) || (bytes > 12 && !memcmp(d, "\0\0\0\x0cJXL \r\n\x87\n", 12));
}

static enum ns_status damaged(void)
{
	return ns_fail(NS_BAD_DATA, "JPEG XL: damaged, or it ends in the middle");
}

/*
 * A decoder without threads of its own, for the pixels as they lie in the stream; *decoder is the caller's whatever is returned. The input's end is
 * not told: libjxl would say on stderr that there is none, where it now asks for more.
 */
static enum ns_status begin(const uint8_t *data, size_t bytes, int events, JxlDecoder **decoder)
{
	*decoder = JxlDecoderCreate(NULL);
	if (!*decoder)
		return ns_fail(NS_NO_MEMORY, "out of memory for a JPEG XL decoder");
	if (JxlDecoderSubscribeEvents(*decoder, events) != JXL_DEC_SUCCESS || JxlDecoderSetKeepOrientation(*decoder, JXL_TRUE) != JXL_DEC_SUCCESS ||
	    JxlDecoderSetUnpremultiplyAlpha(*decoder, JXL_TRUE) != JXL_DEC_SUCCESS ||
	    JxlDecoderSetDecompressBoxes(*decoder, JXL_TRUE) != JXL_DEC_SUCCESS || JxlDecoderSetInput(*decoder, data, bytes) != JXL_DEC_SUCCESS)
		return ns_fail(NS_INTERNAL, "JPEG XL: the decoder takes no input");
	return NS_OK;
}

static enum ns_status read_info(const JxlDecoder *decoder, struct ns_image *out)
{
	JxlExtraChannelInfo extra;
	JxlBasicInfo info;
	uint32_t i;

	if (JxlDecoderGetBasicInfo(decoder, &info) != JXL_DEC_SUCCESS)
		return damaged();
	if (info.xsize > INT32_MAX || info.ysize > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "JPEG XL: %u x %u pixels", (unsigned)info.xsize, (unsigned)info.ysize);
	if (info.exponent_bits_per_sample || info.bits_per_sample > 16)
		return ns_fail(NS_BAD_DATA, "JPEG XL: samples of %s %u bits are not read; whole numbers of 1 to 16 bits are",
			       info.exponent_bits_per_sample ? "floating point and" : "whole numbers and", (unsigned)info.bits_per_sample);
	for (i = 0; i < info.num_extra_channels; i++)
		if (JxlDecoderGetExtraChannelInfo(decoder, i, &extra) == JXL_DEC_SUCCESS && extra.type == JXL_CHANNEL_BLACK)
			return ns_fail(NS_BAD_DATA, "JPEG XL: in the colours of inks, CMYK, which is not read");
	out->w = (int)info.xsize;
	out->h = (int)info.ysize;
	out->c = info.num_color_channels == 1 ? 1 : 3;
	out->bits = (int)info.bits_per_sample;
	out->alpha = info.alpha_bits > 0;
	out->orientation = (int)info.orientation;
	return NS_OK;
}

static int has_profile(const JxlDecoder *decoder)
{
#if JPEGXL_NUMERIC_VERSION < JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0) /* then it also took a format, which it did not look at */
	return JxlDecoderGetColorAsEncodedProfile(decoder, NULL, JXL_COLOR_PROFILE_TARGET_ORIGINAL, NULL) != JXL_DEC_SUCCESS;
#else
	return JxlDecoderGetColorAsEncodedProfile(decoder, JXL_COLOR_PROFILE_TARGET_ORIGINAL, NULL) != JXL_DEC_SUCCESS;
#endif
}

/* The first box of EXIF, which may stand behind the pixels; they are stepped over. Its first four bytes say where in it the folder begins. */
static void read_exif(JxlDecoder *decoder, struct ns_image *out)
{
	int orientation = out->orientation, open = 0;
	JxlDecoderStatus status;
	uint8_t *exif = NULL;
	size_t bytes = 0, skip;
	JxlBoxType type;

	while ((status = JxlDecoderProcessInput(decoder)) == JXL_DEC_BOX && !open) {
		if (JxlDecoderGetBoxType(decoder, type, JXL_TRUE) != JXL_DEC_SUCCESS || memcmp(type, "Exif", 4))
			continue;
		exif = calloc(1, EXIF_MOST);
		open = exif && JxlDecoderSetBoxBuffer(decoder, exif, EXIF_MOST) == JXL_DEC_SUCCESS;
	}
	if (open)
		bytes = EXIF_MOST - JxlDecoderReleaseBoxBuffer(decoder);
	skip = bytes < 4 ? 0 : (size_t)exif[0] << 24 | (size_t)exif[1] << 16 | (size_t)exif[2] << 8 | exif[3];
	if (bytes > 4 && skip < bytes - 4)
		ns_exif_read(exif + 4 + skip, bytes - 4 - skip, out);
	out->orientation = orientation; /* ISO/IEC 18181-2: the stream's counts, EXIF's does not */
	free(exif);
}

static enum ns_status look_jxl(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	JxlDecoder *decoder = NULL;
	enum ns_status status;
	JxlDecoderStatus got;
	int seen = 0;

	NS_GO(begin(data, bytes, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING, &decoder));
	while ((got = JxlDecoderProcessInput(decoder)) == JXL_DEC_BASIC_INFO || got == JXL_DEC_COLOR_ENCODING) {
		if (got == JXL_DEC_BASIC_INFO)
			NS_GO(read_info(decoder, out));
		else
			out->profile = has_profile(decoder);
		seen |= got == JXL_DEC_BASIC_INFO ? 1 : 2;
	}
	if (seen != 3)
		NS_GO(ns_fail(NS_BAD_DATA, "JPEG XL: its header is damaged"));
	if (*data) /* a bare stream has no boxes */
		goto out;
	JxlDecoderDestroy(decoder);
	NS_GO(begin(data, bytes, JXL_DEC_BOX, &decoder));
	read_exif(decoder, out);
out:
	JxlDecoderDestroy(decoder);
	return status;
}

/* Samples of two bytes: their high one, which libjxl's way from n bits to 16 leaves the high 8 of n. */
static enum ns_status narrow(const uint16_t *wide, struct ns_raster *out)
{
	size_t n = (size_t)out->h * (size_t)out->w * (size_t)out->channels, i;

	NS_TRY(ns_raster_make(out));
	for (i = 0; i < n; i++)
		out->data[i] = (uint8_t)(wide[i] >> 8);
	return NS_OK;
}

static enum ns_status read_frame(JxlDecoder *decoder, const JxlPixelFormat *format, void *pixels, size_t bytes)
{
	size_t wanted;

	if (JxlDecoderProcessInput(decoder) != JXL_DEC_NEED_IMAGE_OUT_BUFFER ||
	    JxlDecoderImageOutBufferSize(decoder, format, &wanted) != JXL_DEC_SUCCESS || wanted != bytes ||
	    JxlDecoderSetImageOutBuffer(decoder, format, pixels, bytes) != JXL_DEC_SUCCESS || JxlDecoderProcessInput(decoder) != JXL_DEC_FULL_IMAGE)
		return damaged();
	return NS_OK;
}

static enum ns_status read_jxl(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	JxlPixelFormat format = {(uint32_t)(image->c + image->alpha), JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
	size_t n = (size_t)image->h * (size_t)image->w * format.num_channels;
	JxlDecoder *decoder = NULL;
	uint16_t *wide = NULL;
	enum ns_status status;

	(void)wanted;
	out->h = image->h;
	out->w = image->w;
	out->channels = (int)format.num_channels;
	NS_GO(begin(data, bytes, JXL_DEC_FULL_IMAGE, &decoder));
	if (image->bits <= 8) {
		NS_GO(ns_raster_make(out));
		status = read_frame(decoder, &format, out->data, n);
		goto out;
	}
	format.data_type = JXL_TYPE_UINT16;
	wide = malloc(2 * n);
	if (!wide)
		NS_GO(ns_fail(NS_NO_MEMORY, "out of memory for %d x %d pixels", image->w, image->h));
	NS_GO(read_frame(decoder, &format, wide, 2 * n));
	status = narrow(wide, out);
out:
	JxlDecoderDestroy(decoder);
	free(wide);
	return status;
}

const struct ns_format ns_format_jxl = {"jxl", "JPEG XL", is_jxl, look_jxl, read_jxl, NULL, NULL};
