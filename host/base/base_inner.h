/* host/base/base_inner.h - digests by the processor's own instructions, shared by digest.c and sha256.c. */
#ifndef NS_BASE_INNER_H
#define NS_BASE_INNER_H

#include "host/base/base.h"

/* Has this processor instructions for SHA-256? */
int ns_sha256_is_built_in(void);
/* As ns_sha256_many(), by these instructions. */
void ns_sha256_lanes(const struct ns_sha256_message *messages, int n);

#endif
