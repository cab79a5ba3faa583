#define _POSIX_C_SOURCE 200809L
#include "host/graph/graph.h"
#include "kernels/formula/inline.h"

#include <stdlib.h>
#include <string.h>

static int64_t count_of(const struct ns_tensor_out *t)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < t->rank; i++)
		n *= t->dims[i];
	return n;
}

static json_t *header_of(const struct ns_tensor_out *tensors, int n, const json_t *metadata, size_t *bytes)
{
	json_t *header = json_object();
	int i, j;

	*bytes = 0;
	if (metadata)
		json_object_set_new(header, "__metadata__", json_deep_copy(metadata));
	for (i = 0; i < n; i++) {
		size_t size = (size_t)count_of(&tensors[i]) * sizeof(float);
		json_t *shape = json_array();

		for (j = 0; j < tensors[i].rank; j++)
			json_array_append_new(shape, json_integer(tensors[i].dims[j]));
		json_object_set_new(header, tensors[i].name,
				    json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)*bytes,
					      (json_int_t)(*bytes + size)));
		*bytes += size;
	}
	return header;
}

enum ns_status ns_tensors_write(const char *path, const struct ns_tensor_out *tensors, int n, const json_t *metadata, char *sha256)
{
	size_t bytes, len, padded, at;
	json_t *header = header_of(tensors, n, metadata, &bytes);
	char *text = json_dumps(header, JSON_COMPACT), *file;
	enum ns_status status;
	uint64_t prefix;
	int i;

	json_decref(header);
	len = text ? strlen(text) : 0;
	padded = (len + 7) / 8 * 8; /* spaces until the data is aligned */
	file = text ? malloc(8 + padded + bytes) : NULL;
	if (!file) {
		free(text);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu bytes of tensors", path, bytes);
	}
	prefix = padded;
	memcpy(file, &prefix, 8);
	memcpy(file + 8, text, len);
	memset(file + 8 + len, ' ', padded - len);
	for (at = 8 + padded, i = 0; i < n; i++) {
		size_t size = (size_t)count_of(&tensors[i]) * sizeof(float);

		memcpy(file + at, tensors[i].data, size);
		at += size;
	}
	status = ns_write_file(path, file, at);
	if (sha256)
		ns_sha256(sha256, file, at);
	free(text);
	free(file);
	return status;
}

/* --- reading, as strictly as the reference implementation: https://github.com/huggingface/safetensors, `validate` --- */

static const struct {
	const char *name;
	int bits;
} dtypes[] = {{"BOOL", 8},  {"U8", 8},	 {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16},
	      {"BF16", 16}, {"I32", 32}, {"U32", 32}, {"F32", 32},    {"F64", 64},    {"I64", 64}, {"U64", 64}};

struct span { /* of a tensor's bytes */
	int64_t begin, end;
	const char *name;
};

static int by_begin(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->begin != y->begin)
		return (x->begin > y->begin) - (x->begin < y->begin);
	return (x->end > y->end) - (x->end < y->end);
}

static enum ns_status size_of(const json_t *entry, const char *where, int64_t *bytes)
{
	const json_t *shape = json_object_get(entry, "shape");
	const char *dtype = ns_json_text(entry, "dtype");
	int64_t count, d;
	size_t i, k;

	for (k = 0; k < sizeof dtypes / sizeof *dtypes && strcmp(dtypes[k].name, dtype); k++)
		;
	if (k == sizeof dtypes / sizeof *dtypes)
		return ns_fail(NS_BAD_DATA, "%s: unknown dtype '%.20s'", where, dtype);
	if (!json_is_array(shape))
		return ns_fail(NS_BAD_DATA, "%s: the shape is missing", where);
	for (count = dtypes[k].bits / 8, i = 0; i < json_array_size(shape); i++) {
		NS_TRY(ns_json_int(json_array_get(shape, i), "shape", where, 0, INT64_MAX, &d));
		if (d && count > INT64_MAX / d)
			return ns_fail(NS_BAD_DATA, "%s: the shape has an impossible size", where);
		count *= d;
	}
	*bytes = count;
	return NS_OK;
}

static enum ns_status span_of(const json_t *entry, const char *path, const char *name, struct span *s)
{
	const json_t *offsets = json_object_get(entry, "data_offsets");
	char where[NS_PATH_MAX];
	int64_t bytes;

	NS_TRY(ns_path(where, "%s: %.200s", path, name));
	s->name = name;
	NS_TRY(size_of(entry, where, &bytes));
	if (json_array_size(offsets) != 2)
		return ns_fail(NS_BAD_DATA, "%s: data_offsets has %zu entries, expected [begin, end]", where, json_array_size(offsets));
	NS_TRY(ns_json_int(json_array_get(offsets, 0), "data_offsets[0]", where, 0, INT64_MAX, &s->begin));
	NS_TRY(ns_json_int(json_array_get(offsets, 1), "data_offsets[1]", where, 0, INT64_MAX, &s->end));
	return s->end - s->begin == bytes ? NS_OK
					  : ns_fail(NS_BAD_DATA, "%s: bytes %lld to %lld, but its shape takes %lld", where, (long long)s->begin,
						    (long long)s->end, (long long)bytes);
}

/* Every byte of the data must belong to one tensor: no holes, no overlaps, nothing after the last. */
static enum ns_status check_spans(const struct ns_tensors *t, struct span *spans, size_t n)
{
	int64_t at = 0;
	size_t i;

	qsort(spans, n, sizeof *spans, by_begin);
	for (i = 0; i < n; i++) {
		if (spans[i].begin != at)
			return ns_fail(NS_BAD_DATA, "%s: %.200s: begins at byte %lld, but %s ends at %lld", t->path, spans[i].name,
				       (long long)spans[i].begin, i ? "the tensor before it" : "nothing", (long long)at);
		at = spans[i].end;
	}
	return (uint64_t)at == t->data_bytes
		       ? NS_OK
		       : ns_fail(NS_BAD_DATA, "%s: its tensors take %lld bytes, but %zu are there", t->path, (long long)at, t->data_bytes);
}

static enum ns_status check_header(const struct ns_tensors *t)
{
	struct span *spans = malloc(sizeof *spans * (json_object_size(t->header) + 1));
	enum ns_status status = spans ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its tensors", t->path);
	const char *name, *key;
	json_t *entry, *value;
	size_t n = 0;

	json_object_foreach(t->header, name, entry) {
		if (status != NS_OK)
			break;
		if (strcmp(name, "__metadata__")) {
			status = span_of(entry, t->path, name, &spans[n++]);
			continue;
		}
		if (!json_is_object(entry))
			status = ns_fail(NS_BAD_DATA, "%s: __metadata__ is not an object, expected strings by name", t->path);
		json_object_foreach(entry, key, value)
			if (!json_is_string(value))
				status = ns_fail(NS_BAD_DATA, "%s: __metadata__: '%.60s' is not a string", t->path, key);
	}
	if (status == NS_OK)
		status = check_spans(t, spans, n);
	free(spans);
	return status;
}

enum ns_status ns_tensors_read(struct ns_tensors *t, const char *path)
{
	enum ns_status status;
	uint64_t len = 0;
	json_error_t error;

	memset(t, 0, sizeof *t);
	NS_TRY(ns_read_file(path, &t->bytes, &t->size));
	NS_GO((t->path = strdup(path)) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory", path));
	if (t->size >= 8)
		memcpy(&len, t->bytes, 8);
	if (t->size < 8 || len > t->size - 8 || len > (uint64_t)100 << 20 || !len || t->bytes[8] != '{') {
		status = ns_fail(NS_BAD_DATA, "%s: is not a safetensors file, or is truncated", path);
		goto out;
	}
	t->header = json_loadb(t->bytes + 8, (size_t)len, JSON_REJECT_DUPLICATES, &error);
	t->data = t->bytes + 8 + len;
	t->data_bytes = t->size - 8 - (size_t)len;
	status = json_is_object(t->header) ? check_header(t) : ns_fail(NS_BAD_DATA, "%s: its header is not JSON: %s", path, error.text);
out:
	if (status != NS_OK)
		ns_tensors_release(t);
	return status;
}

void ns_tensors_release(struct ns_tensors *t)
{
	json_decref(t->header);
	free(t->bytes);
	free(t->path);
	memset(t, 0, sizeof *t);
}

int ns_tensors_has(const struct ns_tensors *t, const char *name)
{
	return json_object_get(t->header, name) != NULL;
}

const char *ns_tensors_metadata(const struct ns_tensors *t, const char *key)
{
	return ns_json_text(json_object_get(t->header, "__metadata__"), key);
}

/* The types that weights come in, each as floats: what a float cannot hold becomes infinite, which whoever reads weights refuses. */
static int convert(const char *dtype, const char *data, int64_t count, float *out)
{
	int64_t i;
	uint16_t half;
	double wide;

	if (!strcmp(dtype, "F32")) {
		memcpy(out, data, (size_t)count * 4);
		return 1;
	}
	for (i = 0; i < count; i++) {
		if (!strcmp(dtype, "F64")) {
			memcpy(&wide, data + i * 8, sizeof wide);
			out[i] = (float)wide;
			continue;
		}
		if (strcmp(dtype, "F16") && strcmp(dtype, "BF16"))
			return 0;
		memcpy(&half, data + i * 2, sizeof half);
		out[i] = dtype[0] == 'F' ? ns_f32_of_f16(half) : ns_f32_of_bf16(half);
	}
	return strcmp(dtype, "F64") == 0 || strcmp(dtype, "F16") == 0 || strcmp(dtype, "BF16") == 0;
}

enum ns_status ns_tensors_get(const struct ns_tensors *t, const char *name, int rank, const int64_t *dims, float *out)
{
	const json_t *entry = json_object_get(t->header, name), *shape = json_object_get(entry, "shape"),
		     *offsets = json_object_get(entry, "data_offsets");
	json_int_t begin = json_integer_value(json_array_get(offsets, 0));
	int64_t count = 1;
	int i;

	if (!entry)
		return ns_fail(NS_BAD_DATA, "%s: has no tensor '%s'", t->path, name);
	if ((int)json_array_size(shape) != rank)
		return ns_fail(NS_BAD_DATA, "%s: %s: has %zu dimensions, expected %d", t->path, name, json_array_size(shape), rank);
	for (i = 0; i < rank; i++) {
		json_int_t d = json_integer_value(json_array_get(shape, (size_t)i));

		if (d != dims[i])
			return ns_fail(NS_BAD_DATA, "%s: %s: dimension %d is %lld, expected %lld", t->path, name, i, (long long)d,
				       (long long)dims[i]);
		count *= dims[i];
	}
	/* its bytes lie in the file, and are as many as shape and type take: check_header() */
	return convert(ns_json_text(entry, "dtype"), t->data + begin, count, out)
		       ? NS_OK
		       : ns_fail(NS_BAD_DATA, "%s: %s: is of type '%s', expected F32, F16, BF16 or F64", t->path, name, ns_json_text(entry, "dtype"));
}
