/* host/onnx/names.c - lists that grow, and values by their names. */
#define _POSIX_C_SOURCE 200809L
#include "host/onnx/read_inner.h"

#include <stdlib.h>
#include <string.h>

#define MOST (1 << 22) /* of anything: a file of a billion nodes is refused, as it takes memory for each */

enum ns_status ns_onnx_grow(void **list, int *capacity, int count, size_t each, const char *path, const char *what)
{
	int more = *capacity ? 2 * *capacity : 64;
	void *p;

	if (count < *capacity)
		return NS_OK;
	if (count >= MOST)
		return ns_fail(NS_BAD_DATA, "%s: has more than %d %s", path, MOST, what);
	p = realloc(*list, each * (size_t)more);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %d %s", path, more, what);
	memset((char *)p + each * (size_t)*capacity, 0, each * (size_t)(more - *capacity));
	*list = p;
	*capacity = more;
	return NS_OK;
}

int ns_onnx_is(struct ns_onnx_text t, const char *word)
{
	return t.bytes == strlen(word) && !memcmp(t.at, word, t.bytes);
}

static enum ns_status rehash(struct ns_onnx *o)
{
	struct ns_onnx_rooms *r = o->rooms;
	uint64_t slots = r->slots ? 2 * r->slots : 1024, at;
	int32_t *slot = malloc(sizeof *slot * slots);
	int i;

	if (!slot)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its names", o->path);
	memset(slot, 0xff, sizeof *slot * slots);
	for (i = 0; i < o->value_count; i++) {
		for (at = ns_xxh3(o->values[i].name.at, o->values[i].name.bytes) & (slots - 1); slot[at] >= 0; at = (at + 1) & (slots - 1))
			;
		slot[at] = i;
	}
	free(r->slot);
	r->slot = slot;
	r->slots = slots;
	return NS_OK;
}

enum ns_status ns_onnx_value_of(struct ns_onnx *o, struct ns_onnx_text name, int *value)
{
	struct ns_onnx_rooms *r = o->rooms;
	uint64_t at;

	if ((uint64_t)o->value_count * 2 >= r->slots)
		NS_TRY(rehash(o));
	for (at = ns_xxh3(name.at, name.bytes) & (r->slots - 1); r->slot[at] >= 0; at = (at + 1) & (r->slots - 1)) {
		const struct ns_onnx_text *t = &o->values[r->slot[at]].name;

		if (t->bytes == name.bytes && !memcmp(t->at, name.at, name.bytes)) {
			*value = r->slot[at];
			return NS_OK;
		}
	}
	NS_TRY(NS_ONNX_GROW(o, values, value_count, "values"));
	r->slot[at] = *value = o->value_count;
	o->values[o->value_count++] = (struct ns_onnx_value){.name = name, .node = -1, .tensor = -1, .rank = -1};
	return NS_OK;
}

enum ns_status ns_onnx_use(struct ns_onnx *o, int value)
{
	NS_TRY(NS_ONNX_GROW(o, uses, use_count, "uses of values"));
	o->uses[o->use_count++] = value;
	return NS_OK;
}
