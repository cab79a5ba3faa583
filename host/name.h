/*
 * host/name.h - names that a person chooses and that become folders, files, Slurm jobs, columns of a plan: nights, data sets of a
 * split, refs. They are of one alphabet that means nothing to a shell, to Slurm, to a table or to JSON.
 */
#ifndef NS_NAME_H
#define NS_NAME_H

#include "kernels/status.h"

#define NS_NAME_MAX 64

/* 1 to 64 of A-Z a-z 0-9 - _ . in ASCII, whatever the locale; the first is neither - (an option) nor . (hidden, or a way up). */
int ns_is_name(const char *text);
/* NS_CONFIG where it is none; `key` is where it was read, for the message. */
enum ns_status ns_check_name(const char *key, const char *text);

#endif
