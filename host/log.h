/*
 * host/log.h - what a job tells while it works: a line a person reads and a progress bar on a terminal, one JSON
 * line an event elsewhere. Only rank 0 speaks; errors are spoken by whoever has them.
 */
#ifndef NS_LOG_H
#define NS_LOG_H

#include <jansson.h>
#include <stdint.h>

struct ns_log {
	int speak;	 /* rank 0 */
	int bars;	 /* a terminal is there */
	int json;	 /* --json: JSON lines even on a terminal */
	double start;	 /* of the process */
	const char *bar_what;	 /* what the bar counts; NULL: none yet */
	double bar_start, bar_last;
	int64_t bar_from, bar_done;
	int bar_open; /* its line has not ended */
};

double ns_now(void); /* seconds, monotonic */

void ns_log_init(struct ns_log *log, int rank, int json);
/* An event with facts: a JSON object that this takes over, or NULL. */
void ns_log_event(struct ns_log *log, const char *event, json_t *facts);
/* `done` of `total` of something; seldom enough printed that it may be called often. `what` outlives the bar. */
void ns_log_progress(struct ns_log *log, const char *what, int64_t done, int64_t total, const char *unit);
void ns_log_warn(struct ns_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
