#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void ns_log_init(struct ns_log *log, int rank, int json)
{
	memset(log, 0, sizeof *log);
	log->speak = rank == 0;
	log->json = json;
	log->bars = rank == 0 && !json && isatty(STDERR_FILENO);
	log->start = ns_now();
}

static void end_bar(struct ns_log *log)
{
	if (log->bar_open)
		fprintf(stderr, "\r\033[K");
	log->bar_open = 0;
}

/* "train  epoch 3, loss 0.31, ..." for people */
static void print_plain(const char *event, const json_t *facts)
{
	const char *key;
	json_t *value;
	char *text;
	int first = 1;

	printf("%-10s", event);
	NS_JSON_EACH(facts, key, value) {
		printf("%s%s ", first ? " " : ", ", key);
		first = 0;
		if (json_is_real(value)) {
			printf("%.4g", json_real_value(value));
		} else if (json_is_string(value)) {
			printf("%s", json_string_value(value));
		} else {
			text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
			printf("%s", text ? text : "?");
			free(text);
		}
	}
	printf("\n");
	fflush(stdout);
}

void ns_log_event(struct ns_log *log, const char *event, json_t *facts)
{
	json_t *line;
	char *text;

	if (!log->speak) {
		json_decref(facts);
		return;
	}
	end_bar(log);
	if (log->bars) {
		print_plain(event, facts);
		json_decref(facts);
		return;
	}
	line = json_pack("{s:s, s:f}", "event", event, "t", ns_now() - log->start);
	if (line && facts)
		json_object_update(line, facts);
	text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(6));
	printf("%s\n", text ? text : "{}");
	fflush(stdout);
	free(text);
	json_decref(line);
	json_decref(facts);
}

void ns_log_progress(struct ns_log *log, const char *what, int64_t done, int64_t total, const char *unit)
{
	double now, rate;
	int width = 24, full;

	if (!log->bars)
		return;
	now = ns_now();
	if (!log->bar_what || strcmp(log->bar_what, what) || done < log->bar_done) { /* a new count; events in between do not make one */
		log->bar_what = what;
		log->bar_start = now;
		log->bar_from = done;
		log->bar_last = 0;
	}
	log->bar_done = done;
	if (done < total && now - log->bar_last < 0.1)
		return;
	log->bar_last = now;
	log->bar_open = 1;
	rate = now > log->bar_start ? (double)(done - log->bar_from) / (now - log->bar_start) : 0;
	full = total > 0 ? (int)(width * done / total) : 0;
	fprintf(stderr, "\r\033[K%-10s [%.*s%.*s] %3d %%  %.0f %s/s", what, full, "########################", width - full,
		"........................", total > 0 ? (int)(100 * done / total) : 0, rate, unit);
	if (rate > 0 && done < total)
		fprintf(stderr, ", %.0f s left", (double)(total - done) / rate);
	if (done >= total)
		end_bar(log);
}

void ns_log_warn(struct ns_log *log, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	ns_log_event(log, "warning", json_pack("{s:s}", "message", text));
}
