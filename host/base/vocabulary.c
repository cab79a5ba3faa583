/* host/base/vocabulary.c - words as numbers, in the order in which they come. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

void ns_vocabulary_release(struct ns_vocabulary *v)
{
	int i;

	for (i = 0; i < v->count; i++)
		free(v->words[i]);
	free(v->words);
	json_decref(v->places);
	memset(v, 0, sizeof *v);
}

enum ns_status ns_vocabulary_add(struct ns_vocabulary *v, const char *word, int32_t *index)
{
	const json_t *place = json_object_get(v->places, word);
	char **more;

	if (place) {
		*index = (int32_t)json_integer_value(place);
		return NS_OK;
	}
	if (!v->places)
		v->places = json_object();
	if (v->count == v->capacity) {
		v->capacity = v->capacity ? 2 * v->capacity : 16;
		more = realloc(v->words, sizeof *more * (size_t)v->capacity);
		if (!more)
			return ns_fail(NS_NO_MEMORY, "out of memory for %d names", v->capacity);
		v->words = more;
	}
	v->words[v->count] = strdup(word);
	if (!v->words[v->count])
		return ns_fail(NS_NO_MEMORY, "out of memory for a name");
	*index = v->count++;
	return json_object_set_new_nocheck(v->places, word, json_integer(*index)) ? ns_fail(NS_NO_MEMORY, "out of memory for a name") : NS_OK;
}

enum ns_status ns_vocabulary_map(struct ns_vocabulary *v, char *const *words, int n, int32_t *of, int64_t rows)
{
	int32_t *map = malloc(sizeof *map * ((size_t)n + 1));
	enum ns_status status = map ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d names", n);
	int64_t k;
	int i;

	for (i = 0; i < n && status == NS_OK; i++)
		status = ns_vocabulary_add(v, words[i], &map[i]);
	for (k = 0; k < rows && status == NS_OK; k++)
		if (of[k] >= 0 && of[k] < n)
			of[k] = map[of[k]];
	free(map);
	return status;
}
