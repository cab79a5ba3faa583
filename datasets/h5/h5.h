/*
 * datasets/h5/h5.h - HDF5, but only as much of it as the formats need; a look at foreign files in a child process; open files.
 */
#ifndef NS_H5_H
#define NS_H5_H

#include <hdf5.h>
#include <stdint.h>
#include <sys/stat.h>

#include "kernels/status.h"

/*
 * --- h5: HDF5, but only as much of it as the formats need, and nothing that reaches outside a file.
 */

enum ns_h5_type { NS_H5_U8, NS_H5_I32, NS_H5_U32, NS_H5_I64, NS_H5_U64, NS_H5_F32 };

/* A file that this process has looked at (see "look") or has written itself: a regular file, opened without blocking. */
enum ns_status ns_h5_open(hid_t *file, const char *path);
/* the file behind a descriptor, which the caller keeps; the path is for messages */
enum ns_status ns_h5_open_fd(hid_t *file, const char *path, int fd);
/* a file whose bytes are in memory, and stay there while it is open */
enum ns_status ns_h5_open_image(hid_t *file, const char *path, void *bytes, size_t size);
/* around fork(): the child begins with a library that is at rest */
void ns_h5_before_fork(void);
void ns_h5_forked(void);
void ns_h5_after_fork(void);
/* aligned to 4096, early allocation, no fill values: with H5Dget_offset() a data set is read by pread() */
enum ns_status ns_h5_create(hid_t *file, const char *path);
enum ns_status ns_h5_close(hid_t file, const char *path);

int ns_h5_has(hid_t file, const char *name);
/* What a foreign file holds: a data set in its root, or in a group of it. */
#define NS_H5_RANK 8
struct ns_h5_entry {
	char name[132]; /* "image", "train/image" */
	char kind;	/* u, i: whole numbers without and with a sign; f; S: texts; '?': any other */
	int bytes;	/* of a value; 0: texts of any length */
	int rank;	/* of more than NS_H5_RANK sizes the rest is not told */
	hsize_t dims[NS_H5_RANK];
};
/*
 * All of them in the order of their names, those of a group where it stands; links are left out, and names of more than 63 bytes. The caller frees
 * *list. NS_BAD_DATA: there are more than 4096.
 */
enum ns_status ns_h5_list(hid_t file, const char *path, struct ns_h5_entry **list, int *count);
/* Rows [first, first + count) of a data set of texts with one text a row, of at most `most` bytes each; the caller frees each text. */
enum ns_status ns_h5_read_texts(hid_t file, const char *path, const char *name, size_t most, hsize_t first, hsize_t count, char **texts);
/* rank and sizes; refuses links, external storage, foreign filters and compound types, by name */
enum ns_status ns_h5_shape(hid_t file, const char *path, const char *name, int *rank, hsize_t dims[4]);
/*
 * The whole data set, converted to `type`; its rank and first size must be these. The caller frees *data. Whole numbers are read from whole numbers
 * alone, and one that `type` cannot hold is NS_BAD_DATA.
 */
enum ns_status ns_h5_read(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, hsize_t rows, void **data);
/* does the file hold as much as the data set claims? Asked before anything of its size is allocated. */
enum ns_status ns_h5_check_storage(hid_t file, const char *path, const char *name);
/* as stored: is it of exactly this type? */
int ns_h5_is(hid_t file, const char *name, enum ns_h5_type type);
/* rows [first, first + count) of a data set of rank `rank` */
enum ns_status ns_h5_read_rows(hid_t file, const char *path, const char *name, enum ns_h5_type type, hsize_t first, hsize_t count, void *data);
/*
 * The same for reading a data set piece by piece in the order of its rows: chunks are cached while they are being read, up to 256 MiB.
 * It holds its file open.
 */
enum ns_status ns_h5_set_open(hid_t *set, hid_t file, const char *path, const char *name);
enum ns_status ns_h5_set_read(hid_t set, const char *path, const char *name, enum ns_h5_type type, hsize_t first, hsize_t count, void *data);
void ns_h5_set_close(hid_t set);
void ns_h5_file_close(hid_t file); /* of one that was only read; any thread */
/* byte offset in the file where it is contiguous and unfiltered, else -1 */
int64_t ns_h5_offset(hid_t file, const char *name);
enum ns_status ns_h5_write(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, const hsize_t *dims, const void *data);
/* attributes of `object` ("/" is the root); strings are UTF-8, written with a fixed length each; missing: NULL (get) */
enum ns_status ns_h5_set_text(hid_t file, const char *path, const char *object, const char *name, const char *text);
enum ns_status ns_h5_set_texts(hid_t file, const char *path, const char *object, const char *name, const char *const *texts, int n);
enum ns_status ns_h5_set_real(hid_t file, const char *path, const char *object, const char *name, double x);
char *ns_h5_get_text(hid_t file, const char *object, const char *name);
enum ns_status ns_h5_get_texts(hid_t file, const char *path, const char *object, const char *name, char ***texts, int *n);
/* *x stays as it is where there is no such attribute; NS_BAD_DATA where it is no finite number */
enum ns_status ns_h5_get_real(hid_t file, const char *path, const char *object, const char *name, double *x);
void ns_texts_free(char **texts, int n);

/*
 * Lists of names of the root, as of classes: an attribute where all of them, each padded to the longest, have up to 64,000 bytes, else a data set
 * of texts of that fixed length, packed beyond 64 MiB.
 */
#define NS_NAMES_MOST 1000000
#define NS_NAME_BYTES 4096
/* NS_BAD_DATA where they are more or longer than that; `where` and `what` are for the message. */
enum ns_status ns_h5_names_fit(const char *const *names, int n, const char *where, const char *what);
/* The bytes of each in a data set; 0: they are an attribute. */
size_t ns_h5_names_size(const char *const *names, int n);
/* Bytes [first, first + n) of the names, each padded with zeros to `size`. */
void ns_h5_names_pad(const char *const *names, size_t size, size_t first, size_t n, char *out);
enum ns_status ns_h5_write_names(hid_t file, const char *path, const char *attribute, const char *set, const char *const *names, int n);
/*
 * Names in either form; none (NULL) where the file has neither; NS_BAD_DATA where it has both. A data set may have texts of any length, too.
 * *size: bytes of each in a data set (of any length: of the longest), 0: they are an attribute.
 */
enum ns_status ns_h5_read_names(hid_t file, const char *path, const char *attribute, const char *set, char ***names, int *n, size_t *size);

/*
 * --- look: foreign HDF5 files are looked at by a child process, before this one trusts them.
 *
 * A damaged or hostile file makes libhdf5 access memory out of bounds (eight changed bytes of a global heap are enough). So the whole
 * of a file is read once in a child that has limits of time and memory, can open nothing and reach nobody (seccomp, where the
 * kernel has it), and reports through a pipe what it found. It sees files as memory: libhdf5 opens none by their names. What was
 * looked at is remembered by device, inode, size and times. NS_LOOK=0 in the environment leaves it out, for debugging.
 */

/* Read all of `file` that the job will: the same code as the job's own. In the child; bytes are the file's. */
typedef enum ns_status ns_look_fn(hid_t file, const char *path, const struct stat *st);

/*
 * Look at `count` files. NS_BAD_DATA names the first that `look` refuses, that crashed libhdf5, or that took more time or memory
 * than a file of its size may; NS_IO where the disk or the process fails. below: symbolic links are refused, see ns_open().
 */
enum ns_status ns_look(const char *const *paths, int count, int below, ns_look_fn *look);

/*
 * --- handle: files that stay open while they are read, up to a share of the process' descriptors: beyond it the one that was read longest
 * ago is closed, and opened again when it is needed. A file that was changed since it was first opened is refused (NS_DIGEST).
 */

struct ns_handle {
	const char *path; /* borrowed */
	struct stat was;  /* when it was looked at first */
	int below, h5;	  /* below: see ns_open(); h5: opened through HDF5 */
	int fd;		  /* -1: not open */
	hid_t file;
	int users;
	struct ns_handle *older, *newer;
};

/* `was`: what the file must still be */
void ns_handle_init(struct ns_handle *handle, const char *path, const struct stat *was, int below, int h5);
/* NS_DIGEST unless the file is what it was: the same inode, size and time of change of its bytes */
enum ns_status ns_handle_same(const char *path, const struct stat *was, const struct stat *now);
/* Open until it is given back; any thread. */
enum ns_status ns_handle_acquire(struct ns_handle *handle);
void ns_handle_release(struct ns_handle *handle);
void ns_handle_close(struct ns_handle *handle);

#endif
