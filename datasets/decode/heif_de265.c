/*
 * datasets/decode/heif_de265.c - libde265 as libheif's decoder of HEVC. The one that libheif has takes whatever comes of a damaged stream, parts
 * of it memory that nothing has written, and starts a thread for each image.
 */
#include "datasets/decode/heif_inner.h"

#include <libde265/de265.h>
#include <libheif/heif_plugin.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNED 64 /* bytes; libde265's vectors want 16, and may read a few beyond the end */

static struct heif_error status(enum heif_error_code code)
{
	return (struct heif_error){code, heif_suberror_Unspecified, ""};
}

static const char *name_of(void)
{
	return "nightshift's libde265";
}

static int priority_of(enum heif_compression_format format)
{
	return format == heif_compression_HEVC ? 1000 : 0;
}

static void release_planes(de265_decoder_context *context, struct de265_image *image, void *user)
{
	int k;

	(void)context;
	(void)user;
	for (k = 0; k < 3; k++)
		free(de265_get_image_plane_user_data(image, k));
}

/*
 * Planes of zeros, as a damaged stream may leave parts of them as they are. (Pictures that its sample-adaptive filter is still to go over libde265
 * allocates itself, and does not clear.) 0: out of memory.
 */
static int make_planes(de265_decoder_context *context, struct de265_image_spec *spec, struct de265_image *image, void *user)
{
	enum de265_chroma chroma = de265_get_chroma_format(image);
	int halved_w = chroma == de265_chroma_420 || chroma == de265_chroma_422, halved_h = chroma == de265_chroma_420, k;

	(void)user;
	for (k = 0; k < 3; k++)
		de265_set_image_plane(image, k, NULL, 0, NULL);
	for (k = 0; k < (chroma == de265_chroma_mono ? 1 : 3); k++) {
		size_t w = (size_t)(k && halved_w ? spec->width / 2 : spec->width), h = (size_t)(k && halved_h ? spec->height / 2 : spec->height);
		size_t stride = (w + ALIGNED - 1) / ALIGNED * ALIGNED,
		       bytes = stride * h * (de265_get_bits_per_pixel(image, k) > 8 ? 2 : 1) + ALIGNED;
		void *plane = aligned_alloc(ALIGNED, bytes);

		if (!plane) {
			release_planes(context, image, NULL);
			return 0;
		}
		memset(plane, 0, bytes);
		de265_set_image_plane(image, k, plane, (int)stride, plane);
	}
	return 1;
}

static struct heif_error make_decoder(void **made)
{
	struct de265_image_allocation planes = {make_planes, release_planes};

	*made = de265_new_decoder();
	if (!*made)
		return status(heif_error_Memory_allocation_error);
	de265_set_image_allocation_functions(*made, &planes, NULL);
	de265_set_parameter_bool(*made, DE265_DECODER_PARAM_SUPPRESS_FAULTY_PICTURES, 1);
	return status(heif_error_Ok);
}

static void free_decoder(void *made)
{
	de265_free_decoder(made);
}

static struct heif_error push(void *made, const void *data, size_t bytes)
{
	struct ns_heif_span all = {data, bytes};

	while (all.bytes) {
		size_t n = (size_t)ns_heif_take(&all, 4);

		if (!all.at || n > all.bytes || de265_push_NAL(made, all.at, (int)n, 0, NULL) != DE265_OK)
			return status(heif_error_Invalid_input);
		all.at += n;
		all.bytes -= n;
	}
	return status(heif_error_Ok);
}

/* what the stream says of its colours, until a box of the file says otherwise */
static void tell_colours(const struct de265_image *from, struct heif_image *image)
{
	struct heif_color_profile_nclx *nclx = heif_nclx_color_profile_alloc();

	if (!nclx)
		return;
	(void)heif_nclx_color_profile_set_color_primaries(nclx, (uint16_t)de265_get_image_colour_primaries(from));
	(void)heif_nclx_color_profile_set_transfer_characteristics(nclx, (uint16_t)de265_get_image_transfer_characteristics(from));
	(void)heif_nclx_color_profile_set_matrix_coefficients(nclx, (uint16_t)de265_get_image_matrix_coefficients(from));
	nclx->full_range_flag = de265_get_image_full_range_flag(from) != 0;
	(void)heif_image_set_nclx_color_profile(image, nclx);
	heif_nclx_color_profile_free(nclx);
}

static struct heif_error copy_planes(const struct de265_image *from, struct heif_image *image)
{
	static const enum heif_channel channels[] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr};
	int planes = de265_get_chroma_format(from) == de265_chroma_mono ? 1 : 3, k, y, stride, stride_from;

	for (k = 0; k < planes; k++) {
		int w = de265_get_image_width(from, k), h = de265_get_image_height(from, k), bits = de265_get_bits_per_pixel(from, k);
		const uint8_t *plane = de265_get_image_plane(from, k, &stride_from);
		struct heif_error error;
		uint8_t *to;

		if (!plane || w < 1 || h < 1 || bits != de265_get_bits_per_pixel(from, 0))
			return status(heif_error_Unsupported_feature);
		error = heif_image_add_plane(image, channels[k], w, h, bits);
		if (error.code)
			return error;
		to = heif_image_get_plane(image, channels[k], &stride);
		for (y = 0; y < h; y++)
			memcpy(to + (size_t)y * (size_t)stride, plane + (size_t)y * (size_t)stride_from, (size_t)w * (bits > 8 ? 2 : 1));
	}
	return status(heif_error_Ok);
}

/* A warning that leaves the picture whole is about threads, or about a message beside it. */
static int is_whole(de265_decoder_context *context)
{
	de265_error warning;
	int whole = 1;

	while ((warning = de265_get_warning(context)) != DE265_OK)
		whole &= warning == DE265_WARNING_NO_WPP_CANNOT_USE_MULTITHREADING || warning == DE265_WARNING_SPS_MISSING_CANNOT_DECODE_SEI ||
			 warning == DE265_ERROR_CANNOT_PROCESS_SEI;
	return whole;
}

static struct heif_error decode(void *made, struct heif_image **out)
{
	static const enum heif_chroma chromas[] = {heif_chroma_monochrome, heif_chroma_420, heif_chroma_422, heif_chroma_444};
	const struct de265_image *picture;
	struct heif_error error;
	de265_error got;
	int more = 1;

	*out = NULL;
	for (got = de265_flush_data(made); got == DE265_OK && more && !de265_peek_next_picture(made);)
		got = de265_decode(made, &more);
	picture = de265_peek_next_picture(made);
	if (!picture || !is_whole(made))
		return status(heif_error_Decoder_plugin_error);
	error = heif_image_create(de265_get_image_width(picture, 0), de265_get_image_height(picture, 0),
				  de265_get_chroma_format(picture) == de265_chroma_mono ? heif_colorspace_monochrome : heif_colorspace_YCbCr,
				  chromas[de265_get_chroma_format(picture)], out);
	if (!error.code) {
		tell_colours(picture, *out);
		error = copy_planes(picture, *out);
	}
	if (error.code) {
		heif_image_release(*out);
		*out = NULL;
	}
	return error;
}

void ns_heif_use_de265(void)
{
	static const struct heif_decoder_plugin plugin = {.plugin_api_version = 1,
							  .get_plugin_name = name_of,
							  .does_support_format = priority_of,
							  .new_decoder = make_decoder,
							  .free_decoder = free_decoder,
							  .push_data = push,
							  .decode_image = decode};

	(void)heif_register_decoder_plugin(&plugin);
}
