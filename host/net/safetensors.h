/*
 * host/net/safetensors.h - tensors in a file that anybody reads: 8 bytes length, a JSON header, the data.
 * (huggingface/safetensors: F32 here only; little-endian.)
 */
#ifndef NS_SAFETENSORS_H
#define NS_SAFETENSORS_H

#include <jansson.h>
#include <stdint.h>

#include "host/file.h"

struct ns_tensor_out {
	const char *name;
	int rank;
	int64_t dims[4];
	const float *data;
};

struct ns_tensors { /* a file that was read */
	char *path, *bytes;
	size_t size;
	json_t *header;
	const char *data;
	size_t data_bytes;
};

/* sha256: of the bytes as they were meant, or NULL */
enum ns_status ns_tensors_write(const char *path, const struct ns_tensor_out *tensors, int n, const json_t *metadata, char *sha256);
enum ns_status ns_tensors_read(struct ns_tensors *t, const char *path);
void ns_tensors_release(struct ns_tensors *t);
/* F32 data of the wanted shape; NS_BAD_DATA names what differs. dims may be NULL: any shape of `count` values. */
enum ns_status ns_tensors_get(const struct ns_tensors *t, const char *name, int rank, const int64_t *dims, float *out);
int ns_tensors_has(const struct ns_tensors *t, const char *name);
const char *ns_tensors_metadata(const struct ns_tensors *t, const char *key);

#endif
