/* datasets/source/listing.c - an archive's list of entries as a tree: names, folders that are not empty, entries that later ones replace. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

/* bytes 128 to 255 of code page 437, in which zip writes names that it does not call UTF-8 */
static const char page437[] = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ"
			      "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
			      "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
			      "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xc2\xa0";

static int is_utf8(const char *text)
{
	json_t *json = json_string(text);

	json_decref(json);
	return json != NULL;
}

/* Character number n, counted from byte `at` on; *bytes is how many it has. */
static const char *character(const char *at, int n, size_t *bytes)
{
	for (;; n--) {
		for (*bytes = 1; (at[*bytes] & 0xc0) == 0x80;)
			(*bytes)++;
		if (!n)
			return at;
		at += *bytes;
	}
}

void ns_zip_name(char *to, size_t most, const char *name)
{
	size_t n = 0, bytes;

	if (is_utf8(name)) {
		snprintf(to, most, "%s", name);
		return;
	}
	for (; *name && n + 4 < most; name++)
		if ((unsigned char)*name < 128) {
			to[n++] = *name;
		} else {
			const char *c = character(page437, (unsigned char)*name - 128, &bytes);

			memcpy(to + n, c, bytes);
			n += bytes;
		}
	to[n] = 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Drops the folders that something lies in: an archive lists them, too. */
enum ns_status ns_tree_drop_full(struct ns_tree *tree)
{
	char **paths = malloc(sizeof *paths * ((size_t)tree->count + 1));
	int64_t i, k = 0;

	if (!paths)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld names", (long long)tree->count);
	for (i = 0; i < tree->count; i++)
		paths[i] = tree->entries[i].path;
	qsort(paths, (size_t)tree->count, sizeof *paths, by_path);
	for (i = 0; i < tree->count; i++) {
		struct ns_entry *e = &tree->entries[i];
		size_t n = strlen(e->path);
		int64_t low = 0, high = tree->count;

		while (e->type == NS_ENTRY_EMPTY && low < high) { /* the first name that is not below "PATH/" */
			int64_t middle = (low + high) / 2, order = strncmp(paths[middle], e->path, n);

			if (order < 0 || (order == 0 && (unsigned char)paths[middle][n] < '/'))
				low = middle + 1;
			else
				high = middle;
		}
		if (e->type == NS_ENTRY_EMPTY && low < tree->count && !strncmp(paths[low], e->path, n) && paths[low][n] == '/')
			e->number = -1;
	}
	free(paths);
	for (i = 0; i < tree->count; i++)
		if (tree->entries[i].number < 0)
			free(tree->entries[i].path);
		else
			tree->entries[k++] = tree->entries[i];
	tree->count = k;
	return NS_OK;
}

static int by_entry(const void *a, const void *b)
{
	const struct ns_entry *x = *(const struct ns_entry *const *)a, *y = *(const struct ns_entry *const *)b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

enum ns_status ns_tree_pass_replaced(struct ns_tree *tree)
{
	struct ns_entry **order = malloc(sizeof *order * ((size_t)tree->count + 1));
	int64_t i;

	if (!order)
		return ns_fail(NS_NO_MEMORY, "out of memory for %lld names", (long long)tree->count);
	for (i = 0; i < tree->count; i++)
		order[i] = &tree->entries[i];
	qsort(order, (size_t)tree->count, sizeof *order, by_entry);
	for (i = 0; i + 1 < tree->count; i++)
		if (order[i]->type == NS_ENTRY_FILE && order[i + 1]->type == NS_ENTRY_FILE && !strcmp(order[i]->path, order[i + 1]->path)) {
			order[i]->type = NS_ENTRY_PASSED;
			order[i]->why = "is replaced by a later entry of the archive with its name";
		}
	free(order);
	return NS_OK;
}
