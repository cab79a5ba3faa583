/*
 * kernels/status.h - what a function returns, and the one line it leaves when it fails.
 *
 *	return ns_fail(NS_BAD_DATA, "%s: label[%lld] = %d, but classes has %d", ...);
 *	NS_TRY(ns_shard_open(&shard, path));      returns the status of a failing call
 *	NS_GO(ns_shard_open(&shard, path));       the same for functions with an `out:` label
 *
 * The message belongs to the calling thread until its next ns_fail(), as errno does; worker threads
 * hand theirs to the thread that waits for them (host/run/run.h). It names file, item, what was found and what was expected.
 * It is one line of UTF-8 whatever the names in it hold: control characters, and bytes that are not UTF-8, are written as \xNN.
 */
#ifndef NS_STATUS_H
#define NS_STATUS_H

#include <stdarg.h>

enum ns_status {
	NS_OK = 0,
	NS_DECLINED, /* an implementation does not support this op; never reaches a user */
	NS_USAGE,    /* an invalid command line */
	NS_INVALID,  /* arguments that break a contract */
	NS_BAD_DATA, /* an invalid input */
	NS_NO_DEVICE,
	NS_NO_MEMORY,
	NS_INTERNAL,
	NS_IO,
	NS_STOPPED, /* stopped by a signal; a checkpoint was written */
	NS_DIGEST,  /* bytes that do not match their digest */
	NS_CONFIG,  /* an invalid configuration */
	NS_REFUSED, /* the gate refused the model */
	NS_FINDING  /* drift found, and --exit-code makes that an error */
};

#if defined(__GNUC__)
#define NS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define NS_PRINTF(fmt, args)
#endif

/* Sets this thread's message and returns `status`. */
enum ns_status ns_fail(enum ns_status status, const char *format, ...) NS_PRINTF(2, 3);
/* Puts "prefix: " before this thread's message, and returns `status`. */
enum ns_status ns_fail_in(enum ns_status status, const char *format, ...) NS_PRINTF(2, 3);
/* The message of this thread's last failure; never NULL. */
const char *ns_message(void);

#define NS_TRY(call)                                                                                                                                 \
	do {                                                                                                                                         \
		enum ns_status ns_try_ = (call);                                                                                                     \
		if (ns_try_ != NS_OK)                                                                                                                \
			return ns_try_;                                                                                                              \
	} while (0)

#define NS_GO(call)                                                                                                                                  \
	do {                                                                                                                                         \
		status = (call);                                                                                                                     \
		if (status != NS_OK)                                                                                                                 \
			goto out;                                                                                                                    \
	} while (0)

#endif
