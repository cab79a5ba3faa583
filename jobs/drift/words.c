/* jobs/drift/words.c - what shifted, in a sentence: "Images became darker and blurrier, mostly group 3; class bag suffers most." */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static void say(struct ns_drift *s, const char *format, ...) NS_PRINTF(2, 3);

static void say(struct ns_drift *s, const char *format, ...)
{
	size_t at = strlen(s->summary);
	va_list args;

	va_start(args, format);
	vsnprintf(s->summary + at, sizeof s->summary - at, format, args);
	va_end(args);
}

/* Image statistics with a material shift, strongest first. */
static int images(struct ns_drift *s)
{
	static const char *const words[][3] = {{"brightness", "brighter", "darker"},
					       {"contrast", "richer in contrast", "flatter"},
					       {"saturation", "more colourful", "paler"},
					       {"sharpness", "sharper", "blurrier"},
					       {"noise", "noisier", "smoother"},
					       {"dark", "fuller of black", "poorer in black"},
					       {"bright", "fuller of white", "poorer in white"}};
	const struct ns_drift_test *said[3] = {NULL};
	int n = 0, i, k, brightness = 0;
	size_t w;

	for (i = 0; i < s->count; i++)
		brightness |= !strcmp(s->tests[i].column, "brightness") && !*s->tests[i].slice && s->tests[i].status == NS_DRIFT_MATERIAL;
	for (; n < 3; n++) {
		const struct ns_drift_test *best = NULL;

		for (i = 0; i < s->count; i++) {
			const struct ns_drift_test *t = &s->tests[i];
			int known = 0;

			for (w = 0; w < sizeof words / sizeof *words; w++)
				known |= !strcmp(words[w][0], t->column);
			for (k = 0; k < n; k++)
				known &= t != said[k];
			/* the shares of black and white pixels repeat what brightness says */
			if (known && brightness && (!strcmp(t->column, "dark") || !strcmp(t->column, "bright")))
				known = 0;
			if (known && !*t->slice && t->histogram.high > t->histogram.low && t->status == NS_DRIFT_MATERIAL &&
			    (!best || t->effect > best->effect))
				best = t;
		}
		if (!best)
			break;
		said[n] = best;
	}
	for (k = 0; k < n; k++)
		for (w = 0; w < sizeof words / sizeof *words; w++)
			if (!strcmp(words[w][0], said[k]->column)) {
				int up = said[k]->histogram.cur_mean > said[k]->histogram.ref_mean;

				say(s, "%s%s", k == 0 ? "Images became " : k == n - 1 ? " and " : ", ", words[w][up ? 1 : 2]);
			}
	return n;
}

/* The group with the largest effect, if it exceeds the others' mean by more than 0.1. */
static const struct ns_slice *mover(const struct ns_drift *s)
{
	const struct ns_slice *best = NULL;
	double others = 0;
	int i, n = 0;

	for (i = 0; i < s->slice_count; i++)
		if (!strncmp(s->slices[i].name, "group ", 6) && s->slices[i].status != NS_DRIFT_UNTESTED &&
		    (!best || s->slices[i].moved > best->moved))
			best = &s->slices[i];
	for (i = 0; i < s->slice_count; i++)
		if (!strncmp(s->slices[i].name, "group ", 6) && &s->slices[i] != best && s->slices[i].status != NS_DRIFT_UNTESTED) {
			others += s->slices[i].moved;
			n++;
		}
	return best && n && best->status >= NS_DRIFT_MATERIAL && best->moved > others / n + 0.1 ? best : NULL;
}

/* The fall of a slice's accuracy: measured where labels suffice, else estimated by confidence. */
static double fall(const struct ns_slice *l)
{
	if (l->audited >= NS_SLICE_ROWS && !isnan(l->base) && !isnan(l->measured))
		return l->base - l->measured;
	return l->confidence_ref - l->confidence;
}

static const struct ns_slice *sufferer(const struct ns_drift *s)
{
	const struct ns_slice *best = NULL;
	int i;

	for (i = 0; i < s->slice_count; i++)
		if (!strncmp(s->slices[i].name, "class ", 6) && s->slices[i].status != NS_DRIFT_UNTESTED && fall(&s->slices[i]) > s->tolerance &&
		    (!best || fall(&s->slices[i]) > fall(best)))
			best = &s->slices[i];
	return best;
}

void ns_drift_summarise(struct ns_drift *s)
{
	const struct ns_slice *group = mover(s), *class = sufferer(s);
	int n;

	*s->summary = 0;
	if (s->status == NS_DRIFT_NONE)
		return;
	n = images(s);
	if (group)
		say(s, n ? ", mostly %s" : "Mostly %s moved", group->name);
	if (class)
		say(s, "%s%s suffers most (%s %.0f to %.0f %%)", n || group ? "; " : "", class->name,
		    class->audited >= NS_SLICE_ROWS ? "accuracy" : "confidence",
		    100 * (class->audited >= NS_SLICE_ROWS ? class->base : class->confidence_ref),
		    100 * (class->audited >= NS_SLICE_ROWS ? class->measured : class->confidence));
	if (n || group || class) {
		s->summary[0] = (char)(s->summary[0] >= 'a' && s->summary[0] <= 'z' ? s->summary[0] - 32 : s->summary[0]);
		say(s, ".");
	}
}
