/* jobs/drift/detectors.c - the detectors by name: what each measures, what it means in a sentence, and where it is from. */
#include "jobs/drift/drift_inner.h"

#include <string.h>

const struct ns_drift_detector ns_drift_detectors[] = {
	{"ks", 1, "Kolmogorov-Smirnov", "D", "D, 0 to 1, with its 95 % band",
	 "The largest gap between the shares of rows below any value; sees moves of the middle of a distribution best.",
	 "Hodges 1957; Marsaglia, Tsang, Wang 2003"},
	{"cvm", 0, "Cramer-von Mises", "T", "none",
	 "The squared gap over all values: as KS, but it weighs the whole distribution; supports KS where both agree.",
	 "Anderson 1962; limit by Anderson, Darling 1952"},
	{"wasserstein", 0, "Wasserstein-1", "in the column's unit", "divided by the reference's standard deviation, 95 % by bootstrap",
	 "How far values would have to be carried, on average, to turn one window into the other.", "Vaserstein 1969"},
	{"chi2", 1, "chi-square", "chi-square of the 2 x K table", "Cramer's V",
	 "Whether classes are predicted as often as before; permuted where a class is expected fewer than five times.", "Pearson 1900"},
	{"g", 0, "G", "2 sum O ln (O / E)", "Cramer's V", "The likelihood's version of chi-square; supports it.",
	 "Sokal, Rohlf 1981; corrected as by Williams 1976"},
	{"psi", 0, "population stability index", "PSI", "PSI; as its high end the 95 % point without drift",
	 "What credit scoring calls stable (classes, or ten quantile bins of the reference): only to be read beside its 95 % point, which grows as windows shrink.",
	 "Yurdakul 2018"},
	{"js", 0, "Jensen-Shannon divergence", "nats, at most ln 2", "the divergence; as its high end the 95 % point without drift",
	 "How surprised one window's code would be by the other.", "Lin 1991"},
	{"mmd", 1, "maximum mean discrepancy", "unbiased MMD^2, Gaussian kernel", "MMD, 0 to sqrt 2",
	 "Whether embeddings as a whole come from where they came from; p by permutation.", "Gretton et al. 2012"},
	{"energy", 0, "energy distance", "2 E|x-y| - E|x-x'| - E|y-y'|", "its share of 2 E|x-y|",
	 "As MMD, but of plain distances, without a bandwidth to choose; of rows jointly p by permutation on up to 2,000 a side, of a column all rows and no p.",
	 "Szekely, Rizzo 2013"},
	{"c2st", 0, "classifier two-sample test", "accuracy on held-out rows", "accuracy, 1/2 is no difference; Wilson's interval",
	 "How often a linear classifier tells from a row which window it is of.", "Lopez-Paz, Oquab 2017"},
	{"fid", 0, "Frechet distance", "squared distance of two normals", "none", "Means and covariances of embeddings compared; no p-value.",
	 "Heusel et al. 2017"},
	{"kid", 0, "kernel distance", "unbiased, cubic kernel, may be negative", "none", "As FID, but unbiased for small windows; no p-value.",
	 "Binkowski et al. 2018"},
	{NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

int ns_drift_is_enabled(const struct ns_drift *s, const char *method)
{
	const json_t *list = ns_conf_node(s->job->conf, "drift.detectors"), *one;
	size_t i;

	if (!json_is_array(list))
		return 1;
	json_array_foreach(list, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), method))
			return 1;
	return 0;
}

const struct ns_drift_detector *ns_drift_detector(const char *name)
{
	const struct ns_drift_detector *m;

	for (m = ns_drift_detectors; m->name && strcmp(m->name, name);)
		m++;
	return m;
}
