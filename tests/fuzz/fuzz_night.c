/* What a night's folder holds, as its page reads it: the plan, records of steps, submissions, the summary and
 * results of jobs. */
#include "tests/fuzz/fuzz.h"

#include "jobs/night/night_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
		"steps/plan.json",	 "steps/a.json", "steps/b.00000.json",	    "slurm/jobs.tsv",	    "summary.json",
		"q/drift.json",		 "q/gate.json",	 "q/final/evaluation.json", "q/candidate/run.json", "q/candidate/metrics.jsonl",
		"q/candidate/model.json"};
	struct fuzz_part part[11];
	int n = fuzz_split(data, size, part, 11), i;
	const char *dir = fuzz_folder();
	json_t *record;

	for (i = 0; i < n; i++)
		if (part[i].size)
			fuzz_file(names[i], part[i].data, part[i].size);
	(void)ns_step_state(dir, "a", -1, &record);
	json_decref(record);
	(void)ns_night_page(dir);
	return 0;
}
