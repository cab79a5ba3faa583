/*
 * datasets/decode/heif_dav1d.c - dav1d as libheif's decoder of AV1. The one that libheif has starts as many threads as the machine has
 * cores, in each worker, and takes frames of 32,768 x 32,768 whatever the file has said.
 */
#include "datasets/decode/heif_inner.h"

#include <dav1d/dav1d.h>
#include <errno.h>
#include <libheif/heif_plugin.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
	Dav1dContext *dav1d;
	Dav1dData data;
};

static struct heif_error status(enum heif_error_code code)
{
	return (struct heif_error){code, heif_suberror_Unspecified, ""};
}

int ns_heif_av1_stream(const struct ns_heif_span *bytes, struct ns_heif_item *item)
{
	Dav1dSequenceHeader head;

	if (!bytes->bytes || dav1d_parse_sequence_header(&head, bytes->at, bytes->bytes))
		return 0;
	item->h = head.max_height;
	item->w = head.max_width;
	item->bits = 8 + 2 * head.hbd;
	item->grey = head.layout == DAV1D_PIXEL_LAYOUT_I400;
	return 1;
}

static const char *name_of(void)
{
	return "nightshift's dav1d";
}

static int priority_of(enum heif_compression_format format)
{
	return format == heif_compression_AV1 ? 1000 : 0;
}

static struct heif_error make_decoder(void **made)
{
	*made = calloc(1, sizeof(struct decoder));
	return status(*made ? heif_error_Ok : heif_error_Memory_allocation_error);
}

static void free_decoder(void *made)
{
	struct decoder *d = made;

	if (d->data.sz)
		dav1d_data_unref(&d->data);
	dav1d_close(&d->dav1d);
	free(d);
}

static struct heif_error push(void *made, const void *data, size_t bytes)
{
	struct ns_heif_span all = {data, bytes};
	struct ns_heif_item said;
	struct decoder *d = made;
	Dav1dSettings settings;
	uint8_t *copy;

	if (d->dav1d || !ns_heif_av1_stream(&all, &said))
		return status(heif_error_Invalid_input);
	dav1d_default_settings(&settings);
	settings.n_threads = 1;
	settings.max_frame_delay = 1;
	settings.all_layers = 0;
	settings.frame_size_limit = (unsigned)said.h * (unsigned)said.w;
	settings.logger.callback = NULL;
	copy = dav1d_open(&d->dav1d, &settings) ? NULL : dav1d_data_create(&d->data, bytes);
	if (!copy)
		return status(heif_error_Memory_allocation_error);
	memcpy(copy, data, bytes);
	return status(heif_error_Ok);
}

static int next_picture(struct decoder *d, Dav1dPicture *picture)
{
	int sent = 0, got = DAV1D_ERR(EAGAIN);

	while (got == DAV1D_ERR(EAGAIN) && d->data.sz && (!sent || sent == DAV1D_ERR(EAGAIN))) {
		sent = dav1d_send_data(d->dav1d, &d->data);
		got = dav1d_get_picture(d->dav1d, picture);
	}
	return got == DAV1D_ERR(EAGAIN) ? dav1d_get_picture(d->dav1d, picture) : got; /* what is held back until the end */
}

/* what the stream says of its colours, until a box of the file says otherwise */
static void tell_colours(const Dav1dSequenceHeader *head, struct heif_image *image)
{
	struct heif_color_profile_nclx *nclx = heif_nclx_color_profile_alloc();

	if (!nclx)
		return;
	(void)heif_nclx_color_profile_set_color_primaries(nclx, (uint16_t)head->pri);
	(void)heif_nclx_color_profile_set_transfer_characteristics(nclx, (uint16_t)head->trc);
	(void)heif_nclx_color_profile_set_matrix_coefficients(nclx, (uint16_t)head->mtrx);
	nclx->full_range_flag = head->color_range != 0;
	(void)heif_image_set_nclx_color_profile(image, nclx);
	heif_nclx_color_profile_free(nclx);
}

static struct heif_error copy_planes(const Dav1dPicture *p, struct heif_image *image)
{
	static const enum heif_channel channels[] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr};
	int halved_w = p->p.layout == DAV1D_PIXEL_LAYOUT_I420 || p->p.layout == DAV1D_PIXEL_LAYOUT_I422;
	int halved_h = p->p.layout == DAV1D_PIXEL_LAYOUT_I420, planes = p->p.layout == DAV1D_PIXEL_LAYOUT_I400 ? 1 : 3, k, y, stride;

	for (k = 0; k < planes; k++) {
		int w = k && halved_w ? (p->p.w + 1) / 2 : p->p.w, h = k && halved_h ? (p->p.h + 1) / 2 : p->p.h;
		struct heif_error error = heif_image_add_plane(image, channels[k], w, h, p->p.bpc);
		uint8_t *to;

		if (error.code)
			return error;
		to = heif_image_get_plane(image, channels[k], &stride);
		for (y = 0; y < h; y++)
			memcpy(to + (size_t)y * (size_t)stride, (const uint8_t *)p->data[k] + y * p->stride[k > 0],
			       (size_t)w * (p->p.bpc > 8 ? 2 : 1));
	}
	return status(heif_error_Ok);
}

static struct heif_error decode(void *made, struct heif_image **out)
{
	static const enum heif_chroma chromas[] = {heif_chroma_monochrome, heif_chroma_420, heif_chroma_422, heif_chroma_444};
	struct decoder *d = made;
	Dav1dPicture p = {0};
	struct heif_error error;

	*out = NULL;
	if (!d->dav1d || next_picture(d, &p))
		return status(heif_error_Decoder_plugin_error);
	error = heif_image_create(p.p.w, p.p.h, p.p.layout == DAV1D_PIXEL_LAYOUT_I400 ? heif_colorspace_monochrome : heif_colorspace_YCbCr,
				  chromas[p.p.layout], out);
	if (!error.code) {
		tell_colours(p.seq_hdr, *out);
		error = copy_planes(&p, *out);
	}
	dav1d_picture_unref(&p);
	if (error.code) {
		heif_image_release(*out);
		*out = NULL;
	}
	return error;
}

void ns_heif_use_dav1d(void)
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
