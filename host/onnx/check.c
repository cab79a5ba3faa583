/* host/onnx/check.c - weights are as many as their shapes say, names are made once and before they are used, files of external data are in reach. */
#define _POSIX_C_SOURCE 200809L
#include "host/onnx/read_inner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	int bits;  /* of a value in raw_data; 0: it has none */
	int field; /* that lists its values one by one; 0: none does */
	int each;  /* bytes of a value in that field; 0: a varint */
} types[NS_ONNX_TYPES] = {{"undefined", 0, 0, 0},      {"float32", 32, 4, 4},	  {"uint8", 8, 5, 0},	       {"int8", 8, 5, 0},
			  {"uint16", 16, 5, 0},	       {"int16", 16, 5, 0},	  {"int32", 32, 5, 0},	       {"int64", 64, 7, 0},
			  {"string", 0, 6, 0},	       {"bool", 8, 5, 0},	  {"float16", 16, 5, 0},       {"float64", 64, 10, 8},
			  {"uint32", 32, 11, 0},       {"uint64", 64, 11, 0},	  {"complex64", 64, 4, 4},     {"complex128", 128, 10, 8},
			  {"bfloat16", 16, 5, 0},      {"float8e4m3fn", 8, 5, 0}, {"float8e4m3fnuz", 8, 5, 0}, {"float8e5m2", 8, 5, 0},
			  {"float8e5m2fnuz", 8, 5, 0}, {"uint4", 4, 5, 0},	  {"int4", 4, 5, 0},	       {"float4e2m1", 4, 5, 0}};

const char *ns_onnx_type_name(int type)
{
	return type >= 0 && type < NS_ONNX_TYPES ? types[type].name : "unknown";
}

static int is_complex(int type)
{
	return type == NS_ONNX_COMPLEX64 || type == NS_ONNX_COMPLEX128;
}

/* How many values a packed field holds. */
static int64_t listed(const struct ns_onnx_tensor *t)
{
	int64_t n = 0;
	size_t i;

	if (types[t->type].each)
		return t->listed_bytes % (size_t)types[t->type].each ? -1 : (int64_t)(t->listed_bytes / (size_t)types[t->type].each);
	for (i = 0; i < t->listed_bytes; i++)
		n += !(t->listed[i] & 128); /* a varint ends with a byte below 128 */
	return n;
}

enum ns_status ns_onnx_check_tensor(const struct ns_onnx *o, const struct ns_walk *w, const struct ns_onnx_tensor *t)
{
	int64_t wanted, found;

	(void)o;
	if (t->type <= NS_ONNX_UNDEFINED || t->type >= NS_ONNX_TYPES)
		return ns_walk_fail(w, w->at, "tensor '%.*s' is of type %d, which is none of ONNX's", (int)t->name.bytes, t->name.at, t->type);
	if (t->location.bytes)
		return t->raw || t->field ? ns_walk_fail(w, w->at, "tensor '%.*s' has values here and in a file", (int)t->name.bytes, t->name.at)
					  : NS_OK;
	if (t->raw && t->field)
		return ns_walk_fail(w, w->at, "tensor '%.*s' has values twice", (int)t->name.bytes, t->name.at);
	if (t->raw) {
		wanted = (t->count * types[t->type].bits + 7) / 8;
		return types[t->type].bits && (int64_t)t->raw_bytes == wanted
			       ? NS_OK
			       : ns_walk_fail(w, w->at, "tensor '%.*s' has %zu bytes, expected %lld of %lld values of %s", (int)t->name.bytes,
					      t->name.at, t->raw_bytes, (long long)wanted, (long long)t->count, types[t->type].name);
	}
	wanted = types[t->type].bits == 4 ? (t->count + 1) / 2 : is_complex(t->type) ? 2 * t->count : t->count;
	found = t->field == 6 || (t->field && !t->listed_bytes && t->strings) ? t->strings : t->field ? listed(t) : 0;
	if (t->field && t->field != types[t->type].field)
		return ns_walk_fail(w, w->at, "tensor '%.*s' of %s has its values in field %d, expected %d", (int)t->name.bytes, t->name.at,
				    types[t->type].name, t->field, types[t->type].field);
	return found == wanted ? NS_OK
			       : ns_walk_fail(w, w->at, "tensor '%.*s' has %lld values of %s, expected %lld", (int)t->name.bytes, t->name.at,
					      (long long)found, types[t->type].name, (long long)wanted);
}

enum ns_status ns_onnx_add_weight(struct ns_onnx *o, const struct ns_walk *w, const struct ns_field *f, int index)
{
	const struct ns_onnx_text name = o->tensors[index].name;
	int value;

	if (!name.bytes)
		return ns_walk_fail(w, f->at, "a weight without a name");
	NS_TRY(ns_onnx_value_of(o, name, &value));
	if (o->values[value].tensor >= 0)
		return ns_walk_fail(w, f->at, "weight '%.*s' is there twice", (int)name.bytes, name.at);
	o->values[value].tensor = index;
	return NS_OK;
}

/* --- the graph --- */

static enum ns_status wrong(const struct ns_onnx *o, int node, const struct ns_onnx_text *value, const char *what)
{
	const struct ns_onnx_node *n = &o->nodes[node];

	return ns_fail(NS_BAD_DATA, "%s: node %d (%.*s%s%.*s): '%.*s' %s", o->path, node, (int)n->op.bytes, n->op.at, n->name.bytes ? " " : "",
		       (int)n->name.bytes, n->name.at, (int)value->bytes, value->at, what);
}

enum ns_status ns_onnx_check_graph(struct ns_onnx *o)
{
	int i, k;

	for (i = 0; i < o->node_count; i++) {
		const struct ns_onnx_node *n = &o->nodes[i];

		for (k = 0; k < n->ins; k++) {
			int v = o->uses[n->first_in + k];

			if (v >= 0 && o->values[v].node < 0 && o->values[v].tensor < 0 && !o->values[v].input)
				return wrong(o, i, &o->values[v].name,
					     "is made by no node before it, and is no weight and no input: a cycle, or a name that is not there");
		}
		for (k = 0; k < n->outs; k++) {
			int v = o->uses[n->first_out + k];

			if (v >= 0 && (o->values[v].node >= 0 || o->values[v].tensor >= 0 || o->values[v].input))
				return wrong(o, i, &o->values[v].name, "is made a second time");
			if (v >= 0)
				o->values[v].node = i;
		}
	}
	for (i = 0; i < o->value_count; i++)
		if (o->values[i].output && o->values[i].node < 0 && o->values[i].tensor < 0 && !o->values[i].input)
			return ns_fail(NS_BAD_DATA, "%s: output '%.*s' is made by no node", o->path, (int)o->values[i].name.bytes,
				       o->values[i].name.at);
	return NS_OK;
}

/* --- external data --- */

/* A plain name in the model's folder: no path, and no link. */
static enum ns_status path_beside(const struct ns_onnx *o, const struct ns_onnx_tensor *t, char path[NS_PATH_MAX])
{
	const char *slash = strrchr(o->path, '/');

	if (t->location.bytes > 255 || memchr(t->location.at, '/', t->location.bytes) || memchr(t->location.at, '\\', t->location.bytes) ||
	    t->location.at[0] == '.')
		return ns_fail(NS_BAD_DATA, "%s: weight '%.*s' lies in '%.*s', expected a plain name in the same folder", o->path, (int)t->name.bytes,
			       t->name.at, (int)t->location.bytes, t->location.at);
	return ns_path(path, "%.*s%.*s", slash ? (int)(slash - o->path) + 1 : 0, o->path, (int)t->location.bytes, t->location.at);
}

static enum ns_status size_beside(const struct ns_onnx *o, const struct ns_onnx_tensor *t, int64_t *size)
{
	char path[NS_PATH_MAX];
	struct stat st;
	int fd;

	NS_TRY(path_beside(o, t, path));
	NS_TRY(ns_open(&fd, path, 1));
	if (fstat(fd, &st)) {
		close(fd);
		return ns_io_error(path, "cannot stat");
	}
	close(fd);
	*size = (int64_t)st.st_size;
	return NS_OK;
}

enum ns_status ns_onnx_read_beside(const struct ns_onnx *o, const struct ns_onnx_tensor *t, size_t bytes, void *to)
{
	char path[NS_PATH_MAX];
	size_t done = 0;
	int fd;

	NS_TRY(path_beside(o, t, path));
	NS_TRY(ns_open(&fd, path, 1));
	while (done < bytes) {
		ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)(t->offset + (int64_t)done));

		if (n <= 0) {
			close(fd);
			return n < 0 ? ns_io_error(path, "cannot read")
				     : ns_fail(NS_BAD_DATA, "%s: ends inside weight '%.*s'", path, (int)t->name.bytes, t->name.at);
		}
		done += (size_t)n;
	}
	close(fd);
	return NS_OK;
}

static int by_place(const void *a, const void *b)
{
	const struct ns_onnx_tensor *const *x = a, *const *y = b;
	size_t n = (*x)->location.bytes < (*y)->location.bytes ? (*x)->location.bytes : (*y)->location.bytes;
	int order = memcmp((*x)->location.at, (*y)->location.at, n);

	if (order || (*x)->location.bytes != (*y)->location.bytes)
		return order ? order : ((*x)->location.bytes > (*y)->location.bytes) - ((*x)->location.bytes < (*y)->location.bytes);
	return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

int64_t ns_onnx_tensor_bytes(const struct ns_onnx_tensor *t)
{
	return (t->count * types[t->type].bits + 7) / 8;
}

/* Two weights may be one, as tied ones are; to overlap by a part is no way to lie. */
static enum ns_status check_overlaps(const struct ns_onnx *o, const struct ns_onnx_tensor **list, int n)
{
	int i;

	qsort(list, (size_t)n, sizeof *list, by_place);
	for (i = 1; i < n; i++) {
		const struct ns_onnx_tensor *a = list[i - 1], *b = list[i];
		int same = a->location.bytes == b->location.bytes && !memcmp(a->location.at, b->location.at, a->location.bytes);

		if (same && b->offset < a->offset + ns_onnx_tensor_bytes(a) &&
		    !(b->offset == a->offset && ns_onnx_tensor_bytes(a) == ns_onnx_tensor_bytes(b)))
			return ns_fail(NS_BAD_DATA, "%s: weights '%.*s' and '%.*s' overlap in '%.*s'", o->path, (int)a->name.bytes, a->name.at,
				       (int)b->name.bytes, b->name.at, (int)a->location.bytes, a->location.at);
	}
	return NS_OK;
}

enum ns_status ns_onnx_check_external(const struct ns_onnx *o, int64_t *bytes)
{
	const struct ns_onnx_tensor **list = malloc(sizeof *list * (size_t)(o->tensor_count + 1));
	enum ns_status status = list ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its weights", o->path);
	int64_t size;
	int i, n = 0;

	*bytes = 0;
	for (i = 0; status == NS_OK && i < o->tensor_count; i++) {
		const struct ns_onnx_tensor *t = &o->tensors[i];

		if (!t->location.bytes)
			continue;
		list[n++] = t;
		status = size_beside(o, t, &size);
		if (status == NS_OK && (!types[t->type].bits || t->offset > size || ns_onnx_tensor_bytes(t) > size - t->offset ||
					(t->length >= 0 && t->length != ns_onnx_tensor_bytes(t))))
			status = ns_fail(NS_BAD_DATA, "%s: weight '%.*s' is %lld bytes of %s from %lld on (length: %lld), but '%.*s' has %lld",
					 o->path, (int)t->name.bytes, t->name.at, (long long)ns_onnx_tensor_bytes(t), types[t->type].name,
					 (long long)t->offset, (long long)t->length, (int)t->location.bytes, t->location.at, (long long)size);
		*bytes += ns_onnx_tensor_bytes(t);
	}
	if (status == NS_OK)
		status = check_overlaps(o, list, n);
	free(list);
	return status;
}

/* --- which files are ONNX's --- */

enum ns_status ns_onnx_file(const char *path, int *is)
{
	size_t n = strlen(path);

	NS_TRY(ns_is_file(path, is));
	*is = *is && n > 5 && !strcmp(path + n - 5, ".onnx");
	return NS_OK;
}
