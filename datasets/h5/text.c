/*
 * datasets/h5/text.c - attributes: texts and a number. Ours are written as texts of one length each, which lie where they are named:
 * texts of any length live in a global heap, over which libhdf5 crashes where a file is damaged. Both are read.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5_inner.h"

#define TEXTS_MOST ((size_t)64 << 20) /* bytes of all texts of an attribute */
#define COUNT_MOST (1 << 20)

static enum ns_status set_attribute(hid_t file, const char *path, const char *object, const char *name, hid_t type, hid_t space, const void *value)
{
	hid_t a = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	enum ns_status status =
		a < 0 || H5Awrite(a, type, value) < 0 ? ns_fail(NS_IO, "%s: %s: HDF5 cannot write it (is the disk full?)", path, name) : NS_OK;

	if (a >= 0)
		H5Aclose(a);
	H5Sclose(space);
	return status;
}

/* HDF5 has no type of size 0 */
hid_t ns_h5_text_type(size_t size)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	H5Tset_size(type, size);
	H5Tset_cset(type, H5T_CSET_UTF8);
	if (size != H5T_VARIABLE)
		H5Tset_strpad(type, H5T_STR_NULLPAD);
	return type;
}

static enum ns_status write_texts(hid_t file, const char *path, const char *object, const char *name, const char *const *texts, int n, hid_t space)
{
	size_t size = 1, len;
	enum ns_status status;
	char *all;
	hid_t type;
	int i;

	for (i = 0; i < n; i++)
		size = (len = strlen(texts[i])) > size ? len : size;
	all = calloc((size_t)n + 1, size);
	if (!all) {
		H5Sclose(space);
		return ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for %d texts", path, name, n);
	}
	for (i = 0; i < n; i++)
		memcpy(all + (size_t)i * size, texts[i], strlen(texts[i]));
	type = ns_h5_text_type(size);
	status = set_attribute(file, path, object, name, type, space, all);
	H5Tclose(type);
	free(all);
	return status;
}

enum ns_status ns_h5_set_text(hid_t file, const char *path, const char *object, const char *name, const char *text)
{
	return write_texts(file, path, object, name, &text, 1, H5Screate(H5S_SCALAR));
}

enum ns_status ns_h5_set_texts(hid_t file, const char *path, const char *object, const char *name, const char *const *texts, int n)
{
	hsize_t dims = (hsize_t)n;

	return write_texts(file, path, object, name, texts, n, H5Screate_simple(1, &dims, NULL));
}

enum ns_status ns_h5_set_real(hid_t file, const char *path, const char *object, const char *name, double x)
{
	return set_attribute(file, path, object, name, H5T_NATIVE_DOUBLE, H5Screate(H5S_SCALAR), &x);
}

/* --- reading --- */

/* HDF5's own memory is copied and given back */
static int read_variable(hid_t a, hid_t space, char **texts, int count)
{
	hid_t type = ns_h5_text_type(H5T_VARIABLE);
	char **raw = calloc((size_t)count + 1, sizeof *raw);
	int ok = raw && (!count || H5Aread(a, type, raw) >= 0), i;

	for (i = 0; ok && i < count; i++)
		ok = (texts[i] = strdup(raw[i] ? raw[i] : "")) != NULL;
	if (raw && count)
		H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
	free(raw);
	H5Tclose(type);
	return ok;
}

char *ns_h5_text_of(const char *field, size_t size, H5T_str_t pad)
{
	size_t len = strnlen(field, size);

	while (pad == H5T_STR_SPACEPAD && len && field[len - 1] == ' ')
		len--;
	return strndup(field, len);
}

static int read_fixed(hid_t a, hid_t stored, char **texts, int count)
{
	size_t size = H5Tget_size(stored);
	H5T_str_t pad = H5Tget_strpad(stored);
	char *all = size && size <= TEXTS_MOST / ((size_t)count + 1) ? malloc(size * ((size_t)count + 1)) : NULL;
	int ok = all && (!count || H5Aread(a, stored, all) >= 0), i;

	for (i = 0; ok && i < count; i++)
		ok = (texts[i] = ns_h5_text_of(all + (size_t)i * size, size, pad)) != NULL;
	free(all);
	return ok;
}

static int read_all(hid_t a, hid_t stored, hid_t space, char ***texts, int *n)
{
	hssize_t count = H5Sget_simple_extent_npoints(space);
	int ok;

	if (H5Tget_class(stored) != H5T_STRING || count < 0 || count > COUNT_MOST)
		return 0;
	*texts = calloc((size_t)count + 1, sizeof **texts);
	if (!*texts)
		return 0;
	ok = H5Tis_variable_str(stored) > 0 ? read_variable(a, space, *texts, (int)count) : read_fixed(a, stored, *texts, (int)count);
	*n = (int)count;
	return ok;
}

/* one text or several; 0: there are none that can be read */
static int get_texts(hid_t file, const char *object, const char *name, char ***texts, int *n)
{
	hid_t a = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT), space, stored;
	int ok;

	*texts = NULL;
	*n = 0;
	if (a < 0)
		return 0;
	space = H5Aget_space(a);
	stored = H5Aget_type(a);
	ok = read_all(a, stored, space, texts, n);
	H5Tclose(stored);
	H5Sclose(space);
	H5Aclose(a);
	if (!ok) {
		ns_texts_free(*texts, *n);
		*texts = NULL;
		*n = 0;
	}
	return ok;
}

char *ns_h5_get_text(hid_t file, const char *object, const char *name)
{
	char **texts, *text = NULL;
	int n;

	if (!get_texts(file, object, name, &texts, &n))
		return NULL;
	if (n == 1)
		text = strdup(texts[0]);
	ns_texts_free(texts, n);
	return text;
}

enum ns_status ns_h5_get_texts(hid_t file, const char *path, const char *object, const char *name, char ***texts, int *n)
{
	if (!get_texts(file, object, name, texts, n))
		return ns_fail(NS_BAD_DATA, "%s: has no attribute '%s' (UTF-8 strings, at most %d)", path, name, COUNT_MOST);
	return NS_OK;
}

enum ns_status ns_h5_get_real(hid_t file, const char *path, const char *object, const char *name, double *x)
{
	hid_t a, space, stored;
	H5T_class_t class;
	enum ns_status status = NS_OK;

	if (H5Aexists_by_name(file, object, name, H5P_DEFAULT) <= 0)
		return NS_OK;
	a = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
	if (a < 0)
		return ns_fail(NS_BAD_DATA, "%s: attribute '%s' cannot be read", path, name);
	space = H5Aget_space(a);
	stored = H5Aget_type(a);
	class = H5Tget_class(stored);
	if ((class != H5T_FLOAT && class != H5T_INTEGER) || H5Tget_size(stored) > 8 || H5Sget_simple_extent_npoints(space) != 1 ||
	    H5Aread(a, H5T_NATIVE_DOUBLE, x) < 0 || !isfinite(*x))
		status = ns_fail(NS_BAD_DATA, "%s: attribute '%s' is invalid, expected one finite number", path, name);
	H5Tclose(stored);
	H5Sclose(space);
	H5Aclose(a);
	return status;
}

void ns_texts_free(char **texts, int n)
{
	int i;

	for (i = 0; texts && i < n; i++)
		free(texts[i]);
	free(texts);
}
