/* datasets/h5/list.c - what a foreign file holds, and those of its data sets that are texts. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/h5/h5_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST   4096 /* data sets and groups */
#define LENGTH 64   /* of one name, and its end */

struct listing {
	const char *path;
	struct ns_h5_entry *list;
	int count, capacity, seen;
};

static void describe(hid_t set, struct ns_h5_entry *e)
{
	hid_t type = H5Dget_type(set), space = H5Dget_space(set);
	H5T_class_t class = H5Tget_class(type);
	hsize_t dims[H5S_MAX_RANK];
	int i;

	e->kind = class == H5T_INTEGER ? H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i' : class == H5T_FLOAT ? 'f' : class == H5T_STRING ? 'S' : '?';
	e->bytes = class == H5T_STRING && H5Tis_variable_str(type) > 0 ? 0 : (int)H5Tget_size(type);
	e->rank = H5Sget_simple_extent_dims(space, dims, NULL);
	for (i = 0; i < e->rank && i < NS_H5_RANK; i++)
		e->dims[i] = dims[i];
	H5Sclose(space);
	H5Tclose(type);
}

static enum ns_status add(struct listing *l, hid_t set, const char *group, const char *name)
{
	struct ns_h5_entry *more;

	if (l->count == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : 16;
		more = realloc(l->list, sizeof *more * (size_t)l->capacity);
		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for a list of its data sets", l->path);
		l->list = more;
	}
	more = &l->list[l->count++];
	memset(more, 0, sizeof *more);
	snprintf(more->name, sizeof more->name, "%.63s%s%.63s", group ? group : "", group ? "/" : "", name);
	describe(set, more);
	return NS_OK;
}

/* The data sets of the root, and of each group in it; no deeper. */
static enum ns_status scan(struct listing *l, hid_t at, const char *group)
{
	enum ns_status status = NS_OK;
	H5G_info_t info;
	hsize_t i;

	if (H5Gget_info(at, &info) < 0)
		return ns_fail(NS_BAD_DATA, "%s: its list of data sets is damaged", l->path);
	for (i = 0; i < info.nlinks && status == NS_OK; i++) {
		char name[LENGTH];
		ssize_t n = H5Lget_name_by_idx(at, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
		hid_t object;

		if (l->seen++ == MOST)
			return ns_fail(NS_BAD_DATA, "%s: holds more than %d data sets, expected one of all images", l->path, MOST);
		if (n < 1 || n >= LENGTH || !ns_h5_is_hard(at, name))
			continue;
		object = H5Oopen(at, name, H5P_DEFAULT);
		if (object < 0)
			return ns_fail(NS_BAD_DATA, "%s: %s: cannot be opened: it is damaged", l->path, name);
		if (H5Iget_type(object) == H5I_DATASET)
			status = add(l, object, group, name);
		else if (H5Iget_type(object) == H5I_GROUP && !group)
			status = scan(l, object, name);
		H5Oclose(object);
	}
	return status;
}

enum ns_status ns_h5_list(hid_t file, const char *path, struct ns_h5_entry **list, int *count)
{
	struct listing l = {.path = path};
	hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
	enum ns_status status;

	status = root < 0 ? ns_fail(NS_BAD_DATA, "%s: its root is damaged", path) : scan(&l, root, NULL);
	if (root >= 0)
		H5Gclose(root);
	if (status != NS_OK) {
		free(l.list);
		l.list = NULL;
		l.count = 0;
	}
	*list = l.list;
	*count = l.count;
	return status;
}

/* --- texts --- */

static enum ns_status open_texts(hid_t *set, hid_t *type, hid_t file, const char *path, const char *name, size_t most)
{
	enum ns_status status;
	hid_t plist;

	*type = -1;
	*set = ns_h5_has(file, name) && ns_h5_is_hard(file, name) ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
	if (*set < 0)
		return ns_fail(NS_BAD_DATA, "%s: has no data set '%s'", path, name);
	*type = H5Dget_type(*set);
	plist = H5Dget_create_plist(*set);
	status = ns_h5_refuse_filters(plist, path, name);
	if (status == NS_OK)
		status = ns_h5_refuse_chunks(plist, *type, path, name);
	if (status == NS_OK &&
	    (H5Tget_class(*type) != H5T_STRING || (H5Tis_variable_str(*type) <= 0 && (!H5Tget_size(*type) || H5Tget_size(*type) > most))))
		status = ns_fail(NS_BAD_DATA, "%s: %s: expected texts of 1 to %zu bytes", path, name, most);
	H5Pclose(plist);
	return status;
}

/* One text of the `size` bytes at most that lie at `at`, without what fills them up. */
static char *copy(const char *at, size_t size, H5T_str_t pad)
{
	size_t n = strnlen(at, size);

	while (pad == H5T_STR_SPACEPAD && n && at[n - 1] == ' ')
		n--;
	return strndup(at, n);
}

static enum ns_status copy_all(const char *path, const char *name, const char *raw, hid_t type, size_t most, hsize_t count, char **texts)
{
	int variable = H5Tis_variable_str(type) > 0;
	size_t size = H5Tget_size(type);
	hsize_t i;

	for (i = 0; i < count; i++) {
		const char *text = variable ? ((const char *const *)(const void *)raw)[i] : raw + i * size;

		text = text ? text : "";
		if (variable && strnlen(text, most + 1) > most)
			return ns_fail(NS_BAD_DATA, "%s: %s: a text has more than %zu bytes", path, name, most);
		texts[i] = variable ? strdup(text) : copy(text, size, H5Tget_strpad(type));
		if (!texts[i])
			return ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for texts", path, name);
	}
	return NS_OK;
}

enum ns_status ns_h5_read_texts(hid_t file, const char *path, const char *name, size_t most, hsize_t first, hsize_t count, char **texts)
{
	hsize_t start[NS_H5_RANK] = {first}, dims[H5S_MAX_RANK], i;
	hid_t set, type, space = -1, memory = -1;
	char *raw = NULL;
	enum ns_status status;
	int rank;

	for (i = 0; i < count; i++)
		texts[i] = NULL;
	NS_GO(open_texts(&set, &type, file, path, name, most));
	space = H5Dget_space(set);
	rank = H5Sget_simple_extent_dims(space, dims, NULL);
	if (rank < 1 || rank > NS_H5_RANK || first + count > dims[0]) {
		status = ns_fail(NS_BAD_DATA, "%s: %s: has not the rows %llu to %llu", path, name, (unsigned long long)first,
				 (unsigned long long)(first + count - 1));
		goto out;
	}
	dims[0] = count;
	raw = calloc((size_t)count + 1, H5Tget_size(type));
	NS_GO(raw ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for texts", path, name));
	memory = H5Screate_simple(rank, dims, NULL);
	H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, dims, NULL);
	if (H5Sget_select_npoints(space) != (hssize_t)count)
		status = ns_fail(NS_BAD_DATA, "%s: %s: expected one text a row", path, name);
	else if (H5Dread(set, type, memory, space, H5P_DEFAULT, raw) < 0)
		status = ns_h5_unreadable(path, name);
	else
		status = copy_all(path, name, raw, type, most, count, texts);
	if (H5Tis_variable_str(type) > 0)
		H5Dvlen_reclaim(type, memory, H5P_DEFAULT, raw);
out:
	for (i = 0; i < count && status != NS_OK; i++) {
		free(texts[i]);
		texts[i] = NULL;
	}
	free(raw);
	if (memory >= 0)
		H5Sclose(memory);
	if (space >= 0)
		H5Sclose(space);
	if (type >= 0)
		H5Tclose(type);
	if (set >= 0)
		H5Dclose(set);
	return status;
}
