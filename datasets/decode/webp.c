/* datasets/decode/webp.c - WebP by libwebp; of an animation the first frame. */
#include "datasets/decode/decode_inner.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

static int is_webp(const uint8_t *d, size_t bytes)
{
	return bytes > 16 && !memcmp(d, "RIFF", 4) && !memcmp(d + 8, "WEBP", 4);
}

static enum ns_status look_webp(const uint8_t *data, size_t bytes, struct ns_image *out)
{
	WebPData all = {data, bytes};
	WebPBitstreamFeatures f;
	WebPChunkIterator chunk;
	WebPDemuxer *demuxer;

	if (WebPGetFeatures(data, bytes, &f) != VP8_STATUS_OK)
		return ns_fail(NS_BAD_DATA, "WebP: its header is damaged");
	out->h = f.height;
	out->w = f.width;
	out->alpha = f.has_alpha;
	demuxer = WebPDemux(&all);
	if (!demuxer)
		return NS_OK;
	if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
		ns_exif_read(chunk.chunk.bytes, chunk.chunk.size, out);
		WebPDemuxReleaseChunkIterator(&chunk);
	}
	out->profile = (WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS) & ICCP_FLAG) != 0;
	WebPDemuxDelete(demuxer);
	return NS_OK;
}

/* The first frame, placed on a transparent canvas; other pixels are as WebPDecode gives them. */
static enum ns_status read_animation(const uint8_t *data, size_t bytes, struct ns_raster *out)
{
	WebPData all = {data, bytes};
	WebPDemuxer *demuxer = WebPDemux(&all);
	WebPIterator frame;
	enum ns_status status;
	size_t row;

	out->channels = 4;
	if (!demuxer)
		return ns_fail(NS_BAD_DATA, "WebP: damaged, or it ends in the middle");
	NS_GO(ns_raster_make(out));
	memset(out->data, 0, (size_t)out->h * (size_t)out->w * 4);
	row = (size_t)out->w * 4;
	if (!WebPDemuxGetFrame(demuxer, 1, &frame)) {
		status = ns_fail(NS_BAD_DATA, "WebP: has no whole frame");
		goto out;
	}
	if (frame.x_offset + frame.width > out->w || frame.y_offset + frame.height > out->h ||
	    !WebPDecodeRGBAInto(frame.fragment.bytes, frame.fragment.size, out->data + (size_t)frame.y_offset * row + 4 * (size_t)frame.x_offset,
				row * (size_t)(out->h - frame.y_offset) - 4 * (size_t)frame.x_offset, (int)row))
		status = ns_fail(NS_BAD_DATA, "WebP: its first frame is damaged");
	WebPDemuxReleaseIterator(&frame);
out:
	WebPDemuxDelete(demuxer);
	return status;
}

static enum ns_status read_webp(const uint8_t *data, size_t bytes, const struct ns_image *image, int wanted, struct ns_raster *out)
{
	WebPBitstreamFeatures f;
	size_t row;

	(void)wanted;
	out->h = image->h;
	out->w = image->w;
	if (WebPGetFeatures(data, bytes, &f) == VP8_STATUS_OK && f.has_animation)
		return read_animation(data, bytes, out);
	out->channels = image->alpha ? 4 : 3;
	NS_TRY(ns_raster_make(out));
	row = (size_t)out->w * (size_t)out->channels;
	if (!(image->alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto)(data, bytes, out->data, row * (size_t)out->h, (int)row))
		return ns_fail(NS_BAD_DATA, "WebP: damaged, or it ends in the middle");
	return NS_OK;
}

const struct ns_format ns_format_webp = {"webp", "WebP", is_webp, look_webp, read_webp, NULL, NULL};
