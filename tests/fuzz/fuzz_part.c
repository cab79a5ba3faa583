/* part.json, run.json and quarantine.jsonl of an array's two tasks, merged; and nothing is written beside the
 * result. */
#include "tests/fuzz/fuzz.h"

#include <unistd.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"parts/00000/part.json", "parts/00000/run.json", "parts/00000/quarantine.jsonl",
					    "parts/00001/part.json", "parts/00001/run.json", "parts/00001/quarantine.jsonl"};
	struct ns_job job, *base = fuzz_job();
	struct fuzz_part part[6];
	int n = fuzz_split(data, size, part, 6), i;
	struct ns_conf conf;
	char *argv[2] = {NULL, NULL};

	fuzz_folder();
	for (i = 0; i < n; i++)
		fuzz_file(names[i], part[i].data, part[i].size);
	fuzz_copy("parts/00000/data/shard-00000.h5", "h5_shard/raw");
	fuzz_copy("outside/shard-00000.h5", "h5_shard/raw");
	fuzz_copy("parts/00000/predictions-00000.h5", "h5_predictions/small");
	if (ns_conf_copy(&conf, base->conf) == NS_OK) {
		ns_conf_put_text(&conf, "out", fuzz_path("out"));
		argv[0] = (char *)(uintptr_t)fuzz_path("parts");
		if (ns_job_init(&job, "merge", &conf, base->comm, base->log, base->workers, base->set) == NS_OK)
			(void)ns_job_merge(&job, 1, argv);
		ns_job_release(&job);
	}
	ns_conf_release(&conf);
	if (access(fuzz_path("outside/dataset.json"), F_OK) == 0) {
		fprintf(stderr, "fuzz: merge wrote into a folder that is not its own\n");
		abort();
	}
	return 0;
}
