/* datasets/h5/refuse.c - what of a foreign data set is refused: filters that are not HDF5's own, chunks that claim too much. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/h5/h5_inner.h"

#include <string.h>

enum ns_status ns_h5_refuse_filters(hid_t plist, const char *path, const char *name)
{
	int i, n = H5Pget_nfilters(plist);

	if (H5Pget_external_count(plist) > 0)
		return ns_fail(NS_BAD_DATA, "%s: %s: keeps its data in another file; refused", path, name);
	for (i = 0; i < n; i++) {
		unsigned flags, config;
		size_t elements = 0;
		char label[64] = "";
		H5Z_filter_t f = H5Pget_filter2(plist, (unsigned)i, &flags, &elements, NULL, sizeof label, label, &config);

		if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32)
			return ns_fail(NS_BAD_DATA, "%s: %s: filter %d (%s) is refused; none, deflate, shuffle and fletcher32 are read", path, name,
				       (int)f, label);
	}
	if (H5Pget_layout(plist) == H5D_VIRTUAL)
		return ns_fail(NS_BAD_DATA, "%s: %s: is a virtual data set; refused", path, name);
	return NS_OK;
}

/* A chunk is unpacked whole, however little of it is read. */
enum ns_status ns_h5_refuse_chunks(hid_t plist, hid_t type, const char *path, const char *name)
{
	hsize_t chunk[H5S_MAX_RANK];
	size_t bytes = H5Tget_size(type);
	int rank, i;

	if (H5Pget_layout(plist) != H5D_CHUNKED)
		return NS_OK;
	rank = H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
	for (i = 0; i < rank; i++) {
		if (chunk[i] > NS_H5_CACHE / bytes)
			return ns_fail(NS_BAD_DATA, "%s: %s: is stored in chunks of more than %zu MiB, expected smaller ones", path, name,
				       NS_H5_CACHE >> 20);
		bytes *= chunk[i];
	}
	return NS_OK;
}
