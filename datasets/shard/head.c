/* datasets/shard/head.c - what a shard says of all its rows: how they are stored and decoded, the names of classes, groups and cameras. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5.h"
#include "datasets/shard/shard_inner.h"
#include "host/base/base.h"

enum ns_status ns_shard_read_sums(const struct ns_shard *s, hid_t file, const char *name, size_t bytes, uint64_t **sums)
{
	char check[64];

	*sums = NULL;
	snprintf(check, sizeof check, "checksum/%s", name);
	if (!ns_h5_has(file, "checksum"))
		return NS_OK;
	if (!ns_h5_has(file, check))
		return ns_fail(NS_BAD_DATA, "%s: has checksums (as a group of its own, not a link), but none of '%s'", s->path, name);
	return ns_h5_read(file, s->path, check, NS_H5_U64, 1, (bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK, (void **)sums);
}

enum ns_status ns_shard_read_names(const struct ns_shard *s, hid_t file, const char *attribute, const char *set, char ***names, int *n)
{
	uint64_t *want = NULL, *found = NULL;
	enum ns_status status = NS_OK;
	hsize_t count;
	size_t size;

	NS_TRY(ns_h5_read_names(file, s->path, attribute, set, names, n, &size));
	if (size)
		NS_TRY(ns_shard_read_sums(s, file, set, size * (size_t)*n, &want));
	if (!want)
		return NS_OK;
	status = ns_shard_name_sums(s->path, (const char *const *)*names, *n, size, &found, &count);
	if (status == NS_OK && memcmp(want, found, count * sizeof *want))
		status = ns_fail(NS_DIGEST, "%s: %s: does not match its checksums; the file is damaged or was changed", s->path, set);
	free(want);
	free(found);
	return status;
}

/* Files that do not say how they are decoded are older than the question: as they are stored, what is transparent over black. */
static enum ns_status read_decoding(struct ns_shard *s, hid_t file)
{
	char *orientation = ns_h5_get_text(file, "/", "orientation"), *background = ns_h5_get_text(file, "/", "background");
	enum ns_status status = NS_OK;
	unsigned colour = 0;

	s->head.as_stored = !orientation || strcmp(orientation, "exif") != 0;
	if (background && strcmp(background, "none") && sscanf(background, "#%6x", &colour) != 1)
		status = ns_fail(NS_BAD_DATA, "%s: background is '%s', expected none or #rrggbb", s->path, background);
	s->head.background = background && !strcmp(background, "none") ? 0 : (int)(colour & 0xffffff) + 1;
	free(orientation);
	free(background);
	return status;
}

enum ns_status ns_shard_read_head(struct ns_shard *s, hid_t file)
{
	char *schema = ns_h5_get_text(file, "/", "schema"), *encoding = ns_h5_get_text(file, "/", "encoding");
	char *name = ns_h5_get_text(file, "/", "dataset");
	enum ns_status status = NS_OK;

	if (!schema || strcmp(schema, "nightshift.shard/1"))
		status = ns_fail(NS_BAD_DATA, "%s: schema is '%s', expected 'nightshift.shard/1'", s->path, schema ? schema : "");
	else if (!encoding || (strcmp(encoding, "raw") && strcmp(encoding, "jpeg") && strcmp(encoding, "png") && strcmp(encoding, "files")))
		status = ns_fail(NS_BAD_DATA, "%s: encoding is '%s', expected raw, jpeg, png or files", s->path, encoding ? encoding : "");
	else
		snprintf(s->head.encoding, sizeof s->head.encoding, "%s", encoding);
	snprintf(s->head.dataset, sizeof s->head.dataset, "%s", name ? name : "");
	free(schema);
	free(encoding);
	free(name);
	NS_TRY(status);
	NS_TRY(read_decoding(s, file));
	NS_TRY(ns_shard_read_names(s, file, "classes", "class_names", &s->head.classes, &s->head.class_count));
	if (!s->head.classes)
		return ns_fail(NS_BAD_DATA, "%s: has neither an attribute 'classes' nor a data set 'class_names', expected one (UTF-8 strings)",
			       s->path);
	return ns_shard_read_names(s, file, "groups", "group_names", &s->head.groups, &s->head.group_count);
}
