/* Past windows of drift.history, and what follows from them for tonight. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "jobs/drift/drift_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"h/1.json", "h/2.json", "h/3.json"};
	struct ns_drift s = {.job = fuzz_job(),
			     .alpha = 0.05,
			     .status = NS_DRIFT_HARMFUL,
			     .emit_from = "harmful",
			     .hysteresis = 2,
			     .budget = 1,
			     .cooldown_days = 7};
	struct fuzz_part part[3];
	int n = fuzz_split(data, size, part, 3), i;

	fuzz_folder();
	for (i = 0; i < n; i++)
		fuzz_file(names[i], part[i].data, part[i].size);
	s.history = fuzz_path("h");
	memcpy(s.cur.digest, "cc", 3);
	memcpy(s.ref.digest, "dd", 3);
	if (ns_drift_history_read(&s) == NS_OK) {
		(void)ns_drift_judge_nights(&s);
		ns_drift_judge_harm(&s);
		ns_drift_policy(&s);
		(void)ns_drift_history_write(&s);
	}
	json_decref(s.past);
	return 0;
}
