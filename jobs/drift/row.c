/* jobs/drift/row.c - a row of the table of tests, and the names in it. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ns_drift_status_name(enum ns_drift_status status)
{
	static const char *const names[] = {"none", "statistical", "material", "harmful", "untested", "descriptive"};

	return names[status];
}

void ns_drift_cut_utf8(char *text)
{
	size_t n = strlen(text), back = 0;

	while (back < n && back < 4 && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n) {
		unsigned char lead = (unsigned char)text[n - 1 - back];
		size_t wants = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

		if (wants > back)
			text[n - 1 - back] = 0;
	}
}

struct ns_drift_test *ns_drift_add(struct ns_drift *s, const char *kind, const struct ns_drift_detector *method, const char *column)
{
	struct ns_drift_test *t;

	if (s->count == s->capacity) {
		int capacity = s->capacity ? 2 * s->capacity : 64;
		struct ns_drift_test *more = realloc(s->tests, sizeof *more * (size_t)capacity);

		if (!more)
			return NULL;
		s->tests = more;
		s->capacity = capacity;
	}
	t = &s->tests[s->count++];
	memset(t, 0, sizeof *t);
	t->kind = kind;
	t->of = -1;
	t->method = method;
	t->status = t->method->decides ? NS_DRIFT_UNTESTED : NS_DRIFT_DESCRIPTIVE; /* until ns_drift_decide() */
	t->statistic = t->p = t->p_adjusted = t->effect = t->effect_low = t->effect_high = t->deviations = NAN;
	snprintf(t->column, sizeof t->column, "%.63s", column);
	ns_drift_cut_utf8(t->column);
	return t;
}
