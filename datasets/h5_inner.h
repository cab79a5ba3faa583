/* datasets/h5_inner.h - what h5.c and h5_write.c share. */
#ifndef NS_H5_INNER_H
#define NS_H5_INNER_H

#include "datasets/h5.h"

/* before each file: failures are told in our own words, and no link leads to another file */
void ns_h5_settle(void);
hid_t ns_h5_native(enum ns_h5_type type);
enum ns_status ns_h5_failed(const char *path, const char *name, const char *what);

#endif
