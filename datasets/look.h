/*
 * datasets/look.h - foreign HDF5 files are looked at by a child process, before this one trusts them.
 *
 * libhdf5 follows what a damaged or hostile file says out of its own memory (eight changed bytes of a global heap are enough). So the whole
 * of a file is read once in a child that has a bound on time and memory, can open nothing and reach nobody (seccomp, where the
 * kernel has it), and says by a pipe what it found. It sees files as memory: libhdf5 opens none by their names. What was
 * looked at is remembered by device, inode, size and times. NS_LOOK=0 in the environment leaves it out, for debugging.
 */
#ifndef NS_LOOK_H
#define NS_LOOK_H

#include <hdf5.h>
#include <sys/stat.h>

#include "kernels/status.h"

/* Read all of `file` that the job will: the same code as the job's own. In the child; bytes are the file's. */
typedef enum ns_status ns_look_fn(hid_t file, const char *path, const struct stat *st);

/*
 * Look at `count` files. NS_BAD_DATA names the first that is not what `look` wants, that crashed libhdf5, or that took more time or memory
 * than a file of its size may; NS_IO where the disk or the process fails. below: symbolic links are refused, see ns_open().
 */
enum ns_status ns_look(const char *const *paths, int count, int below, ns_look_fn *look);

#endif
