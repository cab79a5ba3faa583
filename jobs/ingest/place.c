/* jobs/ingest/place.c - where an image was taken: erased from the file that is kept, or said in its annotation. */
#include <stdlib.h>
#include <string.h>

#include "jobs/ingest/ingest_inner.h"

enum ns_status ns_ingest_forget_place(const struct ns_ingest *g, struct ns_taken *t)
{
	struct ns_decode_options options = {.as_stored = g->as_stored, .background = g->background, .pixels_max = g->max_pixels};
	uint8_t *pixels = NULL;
	int h, w, c;
	uint64_t id = 0;
	struct ns_image said;
	enum ns_status status;

	if (!ns_place_erase(t->data, t->item.bytes) && !t->image.placed)
		return NS_OK;
	if (ns_image_look(t->data, t->item.bytes, &said) != NS_OK || said.placed)
		return ns_fail(NS_BAD_DATA, "where it was taken cannot be erased; ingest.keep_gps: true keeps it");
	if (!strcmp(t->image.kind, "jpeg") || !strcmp(t->image.kind, "png"))
		return NS_OK; /* what a segment says of its length bounds what is erased */
	status = ns_decode(t->data, t->item.bytes, &options, &h, &w, &c, &pixels, NULL);
	if (status == NS_OK)
		status = ns_pixel_id(pixels, h, w, c, &id);
	free(pixels);
	if (status == NS_BAD_DATA || (status == NS_OK && id != t->id))
		return ns_fail(NS_BAD_DATA, "where it was taken cannot be erased without harm to its pixels; ingest.keep_gps: true keeps both");
	return status;
}

enum ns_status ns_ingest_add_place(struct ns_taken *t)
{
	json_t *json = t->annotation ? json_loads(t->annotation, 0, NULL) : json_object(), *all;

	if (json && !json_is_object(json)) { /* a list keeps its place beside it */
		all = json_pack("{s:o}", "annotation", json);
		json = all;
	}
	json_object_set_new(json, "gps", json_pack("[f, f]", t->image.latitude, t->image.longitude));
	free(t->annotation);
	t->annotation = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(json);
	return t->annotation ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its annotation", t->item.name);
}
