#include "host/net/safetensors.h"

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
				    json_pack("{s:s, s:o, s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets",
					      (json_int_t)*bytes, (json_int_t)(*bytes + size)));
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
		return ns_fail(NS_NO_MEMORY, "%s: no memory for %zu bytes of tensors", path, bytes);
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

enum ns_status ns_tensors_read(struct ns_tensors *t, const char *path)
{
	uint64_t len = 0;
	json_error_t error;

	memset(t, 0, sizeof *t);
	NS_TRY(ns_read_file(path, &t->bytes, &t->size));
	t->path = malloc(strlen(path) + 1);
	if (t->path)
		strcpy(t->path, path);
	if (t->size >= 8)
		memcpy(&len, t->bytes, 8);
	if (t->size < 8 || len > t->size - 8 || len > (uint64_t)100 << 20) {
		ns_tensors_release(t);
		return ns_fail(NS_BAD_DATA, "%s: is not a safetensors file, or is truncated", path);
	}
	t->header = json_loadb(t->bytes + 8, (size_t)len, JSON_REJECT_DUPLICATES, &error);
	t->data = t->bytes + 8 + len;
	t->data_bytes = t->size - 8 - (size_t)len;
	if (!json_is_object(t->header)) {
		ns_tensors_release(t);
		return ns_fail(NS_BAD_DATA, "%s: its header is no JSON: %s", path, error.text);
	}
	return NS_OK;
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

enum ns_status ns_tensors_get(const struct ns_tensors *t, const char *name, int rank, const int64_t *dims, float *out)
{
	const json_t *entry = json_object_get(t->header, name), *shape = json_object_get(entry, "shape"),
		     *offsets = json_object_get(entry, "data_offsets");
	json_int_t begin = json_integer_value(json_array_get(offsets, 0)), end = json_integer_value(json_array_get(offsets, 1));
	int64_t count = 1;
	int i;

	if (!entry)
		return ns_fail(NS_BAD_DATA, "%s: has no tensor '%s'", t->path, name);
	if (strcmp(ns_json_text(entry, "dtype"), "F32"))
		return ns_fail(NS_BAD_DATA, "%s: %s: is of type '%s', wanted F32", t->path, name, ns_json_text(entry, "dtype"));
	if ((int)json_array_size(shape) != rank)
		return ns_fail(NS_BAD_DATA, "%s: %s: has %zu dimensions, wanted %d", t->path, name, json_array_size(shape), rank);
	for (i = 0; i < rank; i++) {
		json_int_t d = json_integer_value(json_array_get(shape, (size_t)i));

		if (d != dims[i])
			return ns_fail(NS_BAD_DATA, "%s: %s: dimension %d is %lld, wanted %lld", t->path, name, i, (long long)d,
				       (long long)dims[i]);
		count *= dims[i];
	}
	if (begin < 0 || end < begin || (uint64_t)end > t->data_bytes || end - begin != count * 4)
		return ns_fail(NS_BAD_DATA, "%s: %s: bytes %lld to %lld of %zu, wanted %lld bytes", t->path, name, (long long)begin,
			       (long long)end, t->data_bytes, (long long)count * 4);
	memcpy(out, t->data + begin, (size_t)count * 4);
	return NS_OK;
}
