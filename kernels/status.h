/*
 * kernels/status.h - what a function returns, and the one line it leaves when it fails.
 *
 *	return ns_fail(NS_BAD_DATA, "%s: label[%lld] = %d, but classes has %d", ...);
 *	NS_TRY(ns_shard_open(&shard, path));      returns the status of a failing call
 *	NS_GO(ns_shard_open(&shard, path));       the same for functions with an `out:` label
 *
 * The message belongs to the calling thread until its next ns_fail(), as errno does; worker threads
 * hand theirs to the thread that waits for them (host/run/run.h). It names file, item, found and wanted.
 */
#ifndef NS_STATUS_H
#define NS_STATUS_H

#include <stdarg.h>

enum ns_status {
	NS_OK = 0,
	NS_DECLINED,	/* an implementation does not do this op; never reaches a user */
	NS_USAGE,	/* a command line that makes no sense */
	NS_INVALID,	/* arguments that break a contract */
	NS_BAD_DATA,	/* an input that is not what it should be */
	NS_NO_DEVICE,
	NS_NO_MEMORY,
	NS_INTERNAL,
	NS_IO,
	NS_STOPPED,	/* asked to leave by a signal; a checkpoint was written */
	NS_DIGEST,	/* bytes that do not match their digest */
	NS_CONFIG,	/* a configuration that makes no sense */
	NS_REFUSED,	/* the gate said no */
	NS_FINDING	/* drift found, and --exit-code asked for it to count */
};

#if defined(__GNUC__)
#define NS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define NS_PRINTF(fmt, args)
#endif

/* Leave a message for this thread and return `status`. */
enum ns_status ns_fail(enum ns_status status, const char *format, ...) NS_PRINTF(2, 3);
/* Put "prefix: " before the message that stands, and return `status`. */
enum ns_status ns_fail_in(enum ns_status status, const char *format, ...) NS_PRINTF(2, 3);
/* The message of this thread's last failure; never NULL. */
const char *ns_message(void);

#define NS_TRY(call)                                                                                         \
	do {                                                                                                 \
		enum ns_status ns_try_ = (call);                                                             \
		if (ns_try_ != NS_OK)                                                                        \
			return ns_try_;                                                                      \
	} while (0)

#define NS_GO(call)                                                                                          \
	do {                                                                                                 \
		status = (call);                                                                             \
		if (status != NS_OK)                                                                         \
			goto out;                                                                            \
	} while (0)

#endif
