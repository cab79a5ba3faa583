/* datasets/source/fresh.c - what of a source is new, by a list of what was taken before. */
#include <stdlib.h>

#include "datasets/source/source.h"

enum ns_status ns_source_leave_out(struct ns_source *s, const char *front, struct ns_follow *follow)
{
	char path[NS_PATH_MAX], name[NS_PATH_MAX];
	struct ns_item item;
	int64_t i, k = 0;
	int takes;

	if (!s->kind->place)
		return NS_OK;
	s->kept = malloc(sizeof *s->kept * (size_t)(s->items + 1));
	if (!s->kept)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the numbers of its items", s->path);
	for (i = 0; i < s->items; i++) {
		enum ns_status status = s->kind->place(s, i, &item, path);

		snprintf(name, sizeof name, "%.1000s%.3000s", front, item.name);
		takes = 1; /* a path that is too long: whoever reads it says so; a class that is not known may become so */
		if (status == NS_OK)
			NS_TRY(ns_follow_takes(follow, name, path, item.label != NS_LABEL_UNKNOWN, &takes));
		if (!takes)
			continue;
		if (s->split_of)
			s->split_of[k] = s->split_of[i];
		s->kept[k++] = i;
	}
	s->items = k;
	return NS_OK;
}

enum ns_status ns_source_is_new(const char *path, const char *name, struct ns_follow *follow, int *is)
{
	const struct ns_source_kind *kind;

	*is = 1;
	if (!follow)
		return NS_OK;
	NS_TRY(ns_source_kind_of(path, &kind));
	return kind && !kind->place ? ns_follow_takes(follow, name, path, 0, is) : NS_OK;
}

enum ns_status ns_source_add_whole(const struct ns_source *s, const char *path, const char *name, struct ns_follow *follow)
{
	int is;

	return s->kind->place || s->unknown ? NS_OK : ns_follow_takes(follow, name, path, 1, &is);
}
