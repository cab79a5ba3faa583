/* datasets/decode/jpeg.c - JPEG by libjpeg(-turbo): every legal sampling, grey, YCbCr, RGB, CMYK, YCCK. */
#include "datasets/decode/decode_inner.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

struct reader {
	struct jpeg_decompress_struct of;
	struct jpeg_error_mgr errors;
	jmp_buf fail;
	char said[JMSG_LENGTH_MAX + 32]; /* the error, or the first warning */
	int warnings, damaged, ended;	 /* damaged: pixels are not those of the file; ended: the file has no end marker */
};

static _Noreturn void on_error(j_common_ptr of)
{
	struct reader *r = of->client_data;

	if (of->err->msg_code == JERR_BAD_PRECISION)
		snprintf(r->said, sizeof r->said, "%d bits a sample; 8 are taken", of->err->msg_parm.i[0]);
	else
		of->err->format_message(of, r->said);
	longjmp(r->fail, 1);
}

/* Warnings about what stands beside the pixels are counted; those that say that pixels are lost are damage. */
static void on_message(j_common_ptr of, int level)
{
	struct reader *r = of->client_data;
	int code = of->err->msg_code;

	if (level >= 0)
		return;
	r->ended |= code == JWRN_JPEG_EOF;
	if (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC || code == JWRN_ARITH_BAD_CODE ||
	    code == JWRN_NOT_SEQUENTIAL) {
		if (!r->damaged++)
			of->err->format_message(of, r->said);
	} else {
		r->warnings++;
	}
}

static void on_output(j_common_ptr of)
{
	(void)of;
}

static int begin(struct reader *r, const uint8_t *data, size_t bytes)
{
	memset(r, 0, sizeof *r);
	r->of.err = jpeg_std_error(&r->errors);
	r->of.client_data = r;
	r->errors.error_exit = on_error;
	r->errors.emit_message = on_message;
	r->errors.output_message = on_output;
	if (setjmp(r->fail))
		return 0;
	jpeg_create_decompress(&r->of);
	jpeg_mem_src(&r->of, data, bytes);
	return 1;
}

static enum ns_status refuse(struct reader *r)
{
	jpeg_destroy_decompress(&r->of);
	return ns_fail(NS_BAD_DATA, "JPEG: %s", r->said);
}

static int is_jpeg(const uint8_t *d, size_t bytes)
{
	return bytes > 3 && d[0] == 0xff && d[1] == 0xd8 && d[2] == 0xff;
}

static enum ns_status look_jpeg(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	struct reader r;
	const struct jpeg_marker_struct *m;

	if (!begin(&r, data, bytes))
		return refuse(&r);
	if (setjmp(r.fail))
		return refuse(&r);
	jpeg_save_markers(&r.of, JPEG_APP0 + 1, 0xffff);
	jpeg_save_markers(&r.of, JPEG_APP0 + 2, 16);
	jpeg_read_header(&r.of, TRUE);
	out->h = (int)r.of.image_height;
	out->w = (int)r.of.image_width;
	out->c = r.of.num_components == 1 ? 1 : 3;
	out->bits = r.of.data_precision;
	for (m = r.of.marker_list; m; m = m->next) {
		if (m->marker == JPEG_APP0 + 1 && m->data_length > 14 && !memcmp(m->data, "Exif\0\0", 6))
			ns_exif_read(m->data, m->data_length, out);
		out->profile |= m->marker == JPEG_APP0 + 2 && m->data_length > 11 && !memcmp(m->data, "ICC_PROFILE", 11);
	}
	jpeg_destroy_decompress(&r.of);
	return NS_OK;
}

/*
 * Scans of a JPEG file: its SOS segments. Segments are skipped by their lengths, a thumbnail among them; in between, 0xff is followed by 0 or by
 * a restart marker; whatever stands behind the end marker (phones append films) is no part of it.
 */
static int64_t count_scans(const uint8_t *data, size_t bytes)
{
	size_t at = 2;
	int64_t scans = 0;

	while (at + 4 <= bytes) {
		const uint8_t *next = memchr(data + at, 0xff, bytes - at - 1);
		uint8_t marker;

		if (!next)
			break;
		at = (size_t)(next - data);
		marker = data[at + 1];
		if (marker == 0xd9)
			break;
		if (marker == 0xff)
			at++;
		else if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8))
			at += 2;
		else {
			scans += marker == 0xda;
			at += 2 + (at + 4 <= bytes ? (size_t)data[at + 2] << 8 | data[at + 3] : 0);
		}
	}
	return scans;
}

/*
 * Each scan of a progressive file is a pass over all its pixels, and costs a few bytes, so that a small file could keep a processor busy for
 * hours. An encoder writes about ten.
 */
#define SCANS_MOST 100
#define WORK_MOST  1500000000 /* pixels times scans */

/* Adobe stores ink inverted, and so does whoever writes CMYK: 255 is no ink. In place. */
static void cmyk_to_rgb(uint8_t *x, int64_t pixels)
{
	int64_t i;
	int k;

	for (i = 0; i < pixels; i++)
		for (k = 0; k < 3; k++)
			x[3 * i + k] = (uint8_t)((x[4 * i + k] * x[4 * i + 3] + 127) / 255);
}

/* Is there a component that no scan has, or in a progressive file a coefficient that none has brought to its last bit? */
static int lacks_scans(const struct jpeg_decompress_struct *of)
{
	int c, i;

	for (c = 0; c < of->num_components; c++) {
		if (!of->comp_info[c].quant_table) /* taken over where a component's first scan begins */
			return 1;
		for (i = 0; of->coef_bits && i < DCTSIZE2; i++)
			if (of->coef_bits[c][i] != 0)
				return 1;
	}
	return 0;
}

/* Reads the header and chooses colours. Returns whether they are ink. */
static int prepare(struct reader *r, int wanted, struct ns_raster *out)
{
	int ink;

	jpeg_read_header(&r->of, TRUE);
	ink = r->of.jpeg_color_space == JCS_CMYK || r->of.jpeg_color_space == JCS_YCCK;
	/* of YCbCr, grey is the Y that the file has; of others it is computed */
	out->channels = r->of.num_components == 1 || (wanted == 1 && r->of.jpeg_color_space == JCS_YCbCr) ? 1 : ink ? 4 : 3;
	r->of.out_color_space = out->channels == 1 ? JCS_GRAYSCALE : ink ? JCS_CMYK : JCS_RGB;
	return ink;
}

static void read_lines(struct reader *r, struct ns_raster *out)
{
	int y;

	for (y = 0; y < out->h; y++) {
		JSAMPROW row = out->data + (size_t)y * (size_t)out->w * (size_t)out->channels;

		jpeg_read_scanlines(&r->of, &row, 1);
	}
	if (!r->damaged && lacks_scans(&r->of)) {
		r->damaged = 1;
		snprintf(r->said, sizeof r->said, "ends before its last scan");
	}
}

static void to_light(struct ns_raster *out, int ink)
{
	if (!ink)
		return;
	cmyk_to_rgb(out->data, (int64_t)out->h * out->w);
	out->channels = 3;
}

static void read_rows(struct reader *r, int wanted, struct ns_raster *out)
{
	int ink = prepare(r, wanted, out);

	out->h = (int)r->of.image_height;
	out->w = (int)r->of.image_width;
	if (ns_raster_make(out) != NS_OK)
		return;
	jpeg_start_decompress(&r->of);
	read_lines(r, out);
	jpeg_finish_decompress(&r->of);
	to_light(out, ink);
}

#define MARGIN 2 /* pixels around a part that its chroma is interpolated from */

/* The rows and columns of a part, of a picture of num/8 of the size, and a margin. */
static void read_window(struct reader *r, int wanted, const struct ns_part *part, int h, int w, struct ns_raster *out, struct ns_place *at)
{
	int ink = prepare(r, wanted, out), num = 8, top, bottom;
	JDIMENSION left, wide;
	double s;

	while (num > 1 && part->h * num / 16 >= 2 * h && part->w * num / 16 >= 2 * w) /* what is left to scale averages once more */
		num /= 2;
	s = num / 8.0;
	r->of.scale_num = (unsigned)num;
	r->of.scale_denom = 8;
	jpeg_start_decompress(&r->of);
	top = (int)(part->y * s) - MARGIN;
	top = top < 0 ? 0 : top;
	bottom = (int)((part->y + part->h) * s) + 1 + MARGIN;
	bottom = bottom > (int)r->of.output_height ? (int)r->of.output_height : bottom;
	left = (JDIMENSION)(part->x * s) < MARGIN ? 0 : (JDIMENSION)(part->x * s) - MARGIN;
	wide = (JDIMENSION)((part->x + part->w) * s) + 1 + MARGIN - left;
	wide = left + wide > r->of.output_width ? r->of.output_width - left : wide;
	jpeg_crop_scanline(&r->of, &left, &wide);
	out->h = bottom - top;
	out->w = (int)wide;
	if (ns_raster_make(out) != NS_OK)
		return;
	if (top)
		jpeg_skip_scanlines(&r->of, (JDIMENSION)top);
	read_lines(r, out);
	jpeg_abort_decompress(&r->of); /* what lies below is not decoded */
	to_light(out, ink);
	*at = (struct ns_place){part->y * s - top, part->x * s - left, part->h * s, part->w * s};
}

/* What lies below is decoded as far as damage is found by it: all but its pixels, and of the last row those, since a skip to the end stops reading. */
static void pass_over_rest(struct reader *r, const struct ns_raster *out)
{
	JDIMENSION left = r->of.output_height - r->of.output_scanline;
	JSAMPARRAY row;

	if (!left)
		return;
	row = r->of.mem->alloc_sarray((j_common_ptr)&r->of, JPOOL_IMAGE, (JDIMENSION)(out->w * out->channels), 1);
	if (left > 1)
		jpeg_skip_scanlines(&r->of, left - 1);
	jpeg_read_scanlines(&r->of, row, 1);
}

/* What is seen, and columns beside it that its chroma is interpolated from. Every row of the file is read, and rows know those above and below. */
static void read_around(struct reader *r, int wanted, const struct ns_part *seen, struct ns_raster *out, struct ns_part *at)
{
	int ink = prepare(r, wanted, out), w = (int)r->of.image_width;
	int left = seen->x < MARGIN ? 0 : seen->x - MARGIN, right = seen->x + seen->w + MARGIN;
	JDIMENSION x = (JDIMENSION)left, wide = (JDIMENSION)((right < w ? right : w) - left);

	jpeg_start_decompress(&r->of);
	if ((int)wide < w)
		jpeg_crop_scanline(&r->of, &x, &wide);
	*at = (struct ns_part){seen->y, (int)x, seen->h, (int)wide};
	out->h = at->h;
	out->w = at->w;
	if (ns_raster_make(out) != NS_OK)
		return;
	if (seen->y)
		jpeg_skip_scanlines(&r->of, (JDIMENSION)seen->y);
	read_lines(r, out);
	pass_over_rest(r, out);
	jpeg_finish_decompress(&r->of);
	to_light(out, ink);
}

static enum ns_status check_work(const uint8_t *data, size_t bytes, const struct ns_image *image)
{
	int64_t scans = count_scans(data, bytes);

	if (scans > SCANS_MOST || scans * image->h * image->w > WORK_MOST)
		return ns_fail(NS_BAD_DATA, "JPEG: %lld scans of %d x %d pixels; at most %d scans, and %d pixels in all scans together, are taken",
			       (long long)scans, image->w, image->h, SCANS_MOST, WORK_MOST);
	return NS_OK;
}

static enum ns_status end(struct reader *r, struct ns_raster *out)
{
	out->warnings = r->warnings;
	if (r->ended && r->of.arith_code && !r->damaged++) /* arithmetic coding reads on in zeros and finds no fault with them */
		snprintf(r->said, sizeof r->said, "ends in the middle");
	jpeg_destroy_decompress(&r->of);
	if (!out->data)
		return NS_NO_MEMORY;
	return r->damaged ? ns_fail(NS_BAD_DATA, "JPEG: %s", r->said) : NS_OK;
}

static enum ns_status read_jpeg(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	struct reader r;

	NS_TRY(check_work(data, bytes, image));
	if (!begin(&r, data, bytes))
		return refuse(&r);
	if (setjmp(r.fail))
		return refuse(&r);
	read_rows(&r, wanted, out);
	return end(&r, out);
}

static enum ns_status read_part(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, const struct ns_part *part, int h, int w,
				struct ns_raster *out, struct ns_place *at)
{
	struct reader r;

	NS_TRY(check_work(data, bytes, image));
	if (!begin(&r, data, bytes))
		return refuse(&r);
	if (setjmp(r.fail))
		return refuse(&r);
	read_window(&r, wanted, part, h, w, out, at);
	return end(&r, out);
}

static enum ns_status read_seen(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, const struct ns_part *seen,
				struct ns_raster *out, struct ns_part *at)
{
	struct reader r;

	NS_TRY(check_work(data, bytes, image));
	if (!begin(&r, data, bytes))
		return refuse(&r);
	if (setjmp(r.fail))
		return refuse(&r);
	read_around(&r, wanted, seen, out, at);
	return end(&r, out);
}

const struct ns_format ns_format_jpeg = {"jpeg", "JPEG", is_jpeg, look_jpeg, read_jpeg, read_part, read_seen};
