/*
 * host/file.h - files that appear whole or not at all, folders, digests, JSON.
 */
#ifndef NS_FILE_H
#define NS_FILE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels/status.h"

#define NS_PATH_MAX 4096
#define NS_SHA256_HEX 65 /* 64 digits and the end */

/* path = "a/b"; NS_INVALID where it does not fit NS_PATH_MAX */
enum ns_status ns_path(char path[NS_PATH_MAX], const char *format, ...) NS_PRINTF(2, 3);
int ns_path_exists(const char *path);
int ns_path_is_dir(const char *path);
int ns_path_is_file(const char *path);
enum ns_status ns_mkdirs(const char *path);
enum ns_status ns_remove_tree(const char *path); /* a missing one is fine */
enum ns_status ns_rename(const char *from, const char *to);
/* Make a file's bytes last that another library wrote: on Lustre and local disks closing it does not. */
enum ns_status ns_sync_file(const char *path);
/* Make the names in this folder last. */
enum ns_status ns_sync_dir(const char *path);

/* Write beside, flush, rename: readers see the old file or the new one. */
enum ns_status ns_write_file(const char *path, const void *data, size_t bytes);
/* The same, but never in place of another: *won says whether this file is now there, or one that was there before. */
enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won);
/* What writers that were killed left beside the files of a folder that nobody writes to now. */
enum ns_status ns_sweep_temporary(const char *folder);
/* A file as a string with a 0 after its end; the caller frees. */
enum ns_status ns_read_file(const char *path, char **data, size_t *bytes);
enum ns_status ns_read_at(int fd, const char *path, void *data, size_t bytes, uint64_t offset);
enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset);

void ns_sha256(char hex[NS_SHA256_HEX], const void *data, size_t bytes);
enum ns_status ns_sha256_file(char hex[NS_SHA256_HEX], const char *path);
uint64_t ns_xxh3(const void *data, size_t bytes);

/* A message may quote a file's name, which need not be UTF-8: then what is not ASCII becomes '?'. */
json_t *ns_json_string(const char *text);
/* Numbers that JSON cannot hold (NaN, infinities) become null. */
json_t *ns_json_real(double x);
enum ns_status ns_json_write(const char *path, const json_t *json); /* indented, keys in order of insertion */
enum ns_status ns_json_read(const char *path, json_t **json, const char *schema);
/* SHA-256 of the canonical text: keys sorted, no white space. */
void ns_json_digest(char hex[NS_SHA256_HEX], const json_t *json);
/* The string under `key`, or "" */
const char *ns_json_text(const json_t *json, const char *key);
/* The number under `key`, or `otherwise` */
double ns_json_number(const json_t *json, const char *key, double otherwise);

#endif
