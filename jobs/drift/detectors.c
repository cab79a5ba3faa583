/* jobs/drift/detectors.c - the table of detectors; each has a file of its own. */
#include "jobs/drift/drift_inner.h"

#include <string.h>

const struct ns_drift_detector *const ns_drift_detectors[] = {
	&ns_detector_ks,
	&ns_detector_cvm,
	&ns_detector_wasserstein,
	&ns_detector_chi2,
	&ns_detector_g,
	&ns_detector_mmd,
	&ns_detector_energy,
	&ns_detector_psi,
	&ns_detector_js,
	&ns_detector_c2st,
	&ns_detector_fid,
	&ns_detector_kid,
	NULL,
};
_Static_assert(sizeof ns_drift_detectors / sizeof *ns_drift_detectors <= NS_DRIFT_DETECTORS + 1, "NS_DRIFT_DETECTORS rows at most");

int ns_drift_is_enabled(const struct ns_drift *s, const struct ns_drift_detector *method)
{
	size_t i;

	for (i = 0; ns_drift_detectors[i] != method;)
		i++;
	return s->enabled >> i & 1;
}

static const struct ns_drift_detector *detector_named(const char *name)
{
	size_t i;

	for (i = 0; ns_drift_detectors[i] && strcmp(ns_drift_detectors[i]->name, name);)
		i++;
	return ns_drift_detectors[i];
}

enum ns_status ns_drift_enable(struct ns_drift *s, const json_t *names)
{
	const json_t *one;
	size_t at, i;

	s->enabled = 0;
	if (!names || json_is_null(names)) {
		s->enabled = ~0u;
		return NS_OK;
	}
	if (!json_is_array(names))
		return ns_fail(NS_CONFIG, "drift.detectors: expected a list, such as [ks, chi2, mmd]");
	json_array_foreach(names, at, one) {
		const struct ns_drift_detector *method = json_is_string(one) ? detector_named(json_string_value(one)) : NULL;

		if (!method)
			return ns_fail(NS_CONFIG, "drift.detectors: '%s' is no detector", json_is_string(one) ? json_string_value(one) : "?");
		for (i = 0; ns_drift_detectors[i] != method;)
			i++;
		s->enabled |= 1u << i;
	}
	return NS_OK;
}
