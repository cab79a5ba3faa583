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

/* The folder that holds `path`: "." for a plain name. */
enum ns_status ns_path_parent(char parent[NS_PATH_MAX], const char *path);

/*
 * What is at a path. Nothing there is an answer (ENOENT, ENOTDIR); a disk that cannot tell is NS_IO, and never "nothing there".
 * ns_exists: also a link that leads nowhere. The other two follow links.
 */
enum ns_status ns_exists(const char *path, int *is);
enum ns_status ns_is_dir(const char *path, int *is);
enum ns_status ns_is_file(const char *path, int *is);

/*
 * Whether this errno says what a file is (not there, a folder, no leave to read it) and will say so again; any other is the
 * disk's or the process' trouble, and what could not be read may be good.
 */
int ns_errno_is_data(int code);
/* "PATH: WHAT: strerror(errno)"; NS_IO, or NS_NO_MEMORY for ENOMEM. */
enum ns_status ns_io_error(const char *path, const char *what);

/*
 * The one way in to a file that this program did not just write itself: a regular file, never waited for (a named pipe and a
 * device would hang). NS_IO where it is not to be had, whatever the reason. below: a symbolic link as the last part of the path is
 * refused: for names inside a folder that this program has made.
 */
enum ns_status ns_open(int *fd, const char *path, int below);

enum ns_status ns_rename(const char *from, const char *to);
/* Unlink; a file that is not there is fine. */
enum ns_status ns_remove_file(const char *path);
/* Make a file's bytes last that another library wrote: on Lustre and local disks closing it does not. */
enum ns_status ns_sync_file(const char *path);

/* Write beside, flush, rename, flush the folder: readers see the old file or the new one, also after a power cut. */
enum ns_status ns_write_file(const char *path, const void *data, size_t bytes);
/* The same, but never in place of another: *won says whether this file is now there, or one that was there before. */
enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won);
/* A file as a string with a 0 after its end; the caller frees. NS_IO whatever keeps it from being read. */
enum ns_status ns_read_file(const char *path, char **data, size_t *bytes);
/* The same of one input among many: NS_BAD_DATA where it is this file's own fault, see ns_errno_is_data(). mtime: NULL where not wanted. */
enum ns_status ns_read_item(const char *path, char **data, size_t *bytes, int64_t *mtime);
enum ns_status ns_read_at(int fd, const char *path, void *data, size_t bytes, uint64_t offset);
enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset);

void ns_sha256(char hex[NS_SHA256_HEX], const void *data, size_t bytes);
/*
 * The digest of a file, computed once by a process: it is remembered by device, inode, size, and times of change, so that asking
 * again costs a look at these. NS_IO where it cannot be read.
 */
enum ns_status ns_sha256_file(char hex[NS_SHA256_HEX], const char *path);
enum ns_status ns_sha256_fd(char hex[NS_SHA256_HEX], int fd, const char *path);
/* 64 lower-case hexadecimal digits? */
int ns_is_sha256(const char *text);
/* NS_DIGEST unless the file's digest is `wanted`, which `where` gives; NS_BAD_DATA where `wanted` is no digest. */
enum ns_status ns_sha256_check(const char *path, const char *wanted, const char *where);
uint64_t ns_xxh3(const void *data, size_t bytes);

/* A path need not be UTF-8, and so need no text from outside: a byte that is not part of it becomes \\xE9, so that none is lost. */
json_t *ns_json_string(const char *text);
/* A copy in which every string that is not UTF-8 is put so: a configuration holds paths as the user gave them. */
json_t *ns_json_clean(const json_t *json);
/* Numbers that JSON cannot hold (NaN, infinities) become null. */
json_t *ns_json_real(double x);
enum ns_status ns_json_write(const char *path, const json_t *json); /* indented, keys in order of insertion */
enum ns_status ns_json_read(const char *path, json_t **json, const char *schema);
/* The same, but *json is NULL where nothing is there. */
enum ns_status ns_json_read_if_there(const char *path, json_t **json, const char *schema);
/* SHA-256 of the canonical text: keys sorted, no white space. */
void ns_json_digest(char hex[NS_SHA256_HEX], const json_t *json);
/* The string under `key`, or "" */
const char *ns_json_text(const json_t *json, const char *key);
/* The number under `key`, or `otherwise` */
double ns_json_number(const json_t *json, const char *key, double otherwise);
/*
 * What must be there, and be it: a whole number from low to high (2^32 + 4 is no 4, nor is 4.5 or "4"); a finite number. NS_BAD_DATA
 * names `where`, the key, what was found and what is wanted.
 */
enum ns_status ns_json_get_int(const json_t *json, const char *key, const char *where, int64_t low, int64_t high, int64_t *out);
enum ns_status ns_json_get_real(const json_t *json, const char *key, const char *where, double *out);
/* the same for a value itself, `name`d for messages */
enum ns_status ns_json_int(const json_t *value, const char *name, const char *where, int64_t low, int64_t high, int64_t *out);
enum ns_status ns_json_finite(const json_t *value, const char *name, const char *where, double *out);

#endif
