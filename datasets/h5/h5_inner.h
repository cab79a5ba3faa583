/* datasets/h5/h5_inner.h - what the files of this room share. */
#ifndef NS_H5_INNER_H
#define NS_H5_INNER_H

#include "datasets/h5/h5.h"

/* Call before each file: silences HDF5's own messages, as ours are printed, and disables links to other files. */
void ns_h5_configure(void);
hid_t ns_h5_native(enum ns_h5_type type);
enum ns_status ns_h5_failed(const char *path, const char *name, const char *what);

/* H5Fopen() of `name` for reading; `path` is for messages. */
enum ns_status ns_h5_open_as(hid_t *file, const char *path, const char *name, hid_t access);
/* Of a data set that libhdf5 does not read: NS_BAD_DATA in the child that looks at files, else NS_IO. */
enum ns_status ns_h5_unreadable(const char *path, const char *name);
/* A link to what lies in the file itself, by that name. */
int ns_h5_is_hard(hid_t file, const char *name);
/* NS_BAD_DATA for a data set that is packed by a filter which is not HDF5's own, or whose chunks do not fit what it claims. */
enum ns_status ns_h5_refuse_filters(hid_t plist, const char *path, const char *name);
enum ns_status ns_h5_refuse_chunks(hid_t plist, hid_t type, const char *path, const char *name);
#define NS_H5_CACHE ((size_t)256 << 20) /* of chunks; a chunk that does not fit would be unpacked anew at every read of a part of it */
/* A data set by its name, which is no link; what it holds is still to be judged. */
enum ns_status ns_h5_open_hard(hid_t *set, hid_t file, const char *path, const char *name);
/* The type of UTF-8 texts of `size` bytes each, padded with zeros, or of any length (H5T_VARIABLE). The caller closes it. */
hid_t ns_h5_text_type(size_t size);
/* The text of a field of `size` bytes, without its padding; NULL: out of memory. */
char *ns_h5_text_of(const char *field, size_t size, H5T_str_t pad);

#endif
