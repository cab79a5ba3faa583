/* host/run/outdir_inner.h - for outdir.c and lock.c alone. */
#ifndef NS_OUTDIR_INNER_H
#define NS_OUTDIR_INNER_H

#include "host/run/run.h"

/* Where OUT is: where its links lead to, also where the last leads to nothing yet. */
enum ns_status ns_outdir_follow(char to[NS_PATH_MAX], const char *out);
/* The names of OUT, of what is written before it is OUT, and of its lock; `verb` is for messages. Links are followed. */
enum ns_status ns_outdir_set_names(struct ns_outdir *outdir, const char *out, const char *verb);

#endif
