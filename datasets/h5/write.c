/* datasets/h5/write.c - HDF5 files of ours: the same data makes the same bytes. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "datasets/h5/h5_inner.h"
#include "host/base/base.h"

enum ns_status ns_h5_create(hid_t *file, const char *path)
{
	hid_t access, creation;

	ns_h5_configure();
	access = H5Pcreate(H5P_FILE_ACCESS);
	creation = H5Pcreate(H5P_FILE_CREATE);
	H5Pset_obj_track_times(creation, 0); /* of the root: the same data makes the same bytes */
	H5Pset_alignment(access, 4096, 4096);
	/* so that a list of classes may be longer than the 64 KiB of an old object header */
#if H5_VERSION_GE(1, 10, 2)
	H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
#else
	H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
#endif
	*file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
	H5Pclose(creation);
	H5Pclose(access);
	return *file < 0 ? ns_fail(NS_IO, "%s: cannot create the file", path) : NS_OK;
}

enum ns_status ns_h5_close(hid_t file, const char *path)
{
	sigset_t all, before;
	herr_t closed;

	/* libhdf5 takes a signal that comes while it sets the file's length for a failure, and cannot be asked again */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	closed = H5Fclose(file);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return closed < 0 ? ns_fail(NS_IO, "%s: cannot write the file out (is the disk full?)", path) : ns_sync_file(path);
}

/* the group of "group/name", unless it is there: without times, too */
static enum ns_status make_group(hid_t file, const char *path, const char *name)
{
	const char *slash = strchr(name, '/');
	hid_t plist, group;
	char part[64];

	snprintf(part, sizeof part, "%.*s", slash ? (int)(slash - name) : 0, name);
	if (!slash || H5Lexists(file, part, H5P_DEFAULT) > 0)
		return NS_OK;
	plist = H5Pcreate(H5P_GROUP_CREATE);
	H5Pset_obj_track_times(plist, 0);
	group = H5Gcreate2(file, part, H5P_DEFAULT, plist, H5P_DEFAULT);
	H5Pclose(plist);
	if (group < 0 || H5Gclose(group) < 0)
		return ns_h5_failed(path, part, "write (is the disk full?)");
	return NS_OK;
}

enum ns_status ns_h5_write(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, const hsize_t *dims, const void *data)
{
	hid_t space = H5Screate_simple(rank, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE), set;
	enum ns_status status = make_group(file, path, name);

	H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
	H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
	H5Pset_obj_track_times(plist, 0); /* the same data makes the same bytes */
	set = H5Dcreate2(file, name, ns_h5_native(type), space, H5P_DEFAULT, plist, H5P_DEFAULT);
	if (set < 0 || (dims[0] && H5Dwrite(set, ns_h5_native(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
		status = ns_h5_failed(path, name, "write (is the disk full?)");
	if (set >= 0 && H5Dclose(set) < 0 && status == NS_OK)
		status = ns_h5_failed(path, name, "write");
	H5Pclose(plist);
	H5Sclose(space);
	return status;
}
