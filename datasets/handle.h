/*
 * datasets/handle.h - files that stay open while they are read, however many there are: as many as the process may have are kept, the one
 * that was read longest ago makes room. A file that was changed since it was first opened is refused (NS_DIGEST).
 */
#ifndef NS_HANDLE_H
#define NS_HANDLE_H

#include <hdf5.h>
#include <sys/stat.h>

#include "kernels/status.h"

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
enum ns_status ns_handle_take(struct ns_handle *handle);
void ns_handle_give(struct ns_handle *handle);
void ns_handle_close(struct ns_handle *handle);

#endif
