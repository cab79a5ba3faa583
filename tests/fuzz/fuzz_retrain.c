#define _POSIX_C_SOURCE 200809L
/*
 * retrain.json and selection.h5, with a model and data sets that are there. A manifest that is in order would
 * be executed: the data's digest is one that no file has, so that all is read but nothing trained.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ns_job *job = fuzz_job();
	struct ns_query q;
	json_t *json = NULL;
	const char *path;
	char home[NS_PATH_MAX];

	fuzz_folder();
	fuzz_copy("model/model.json", "model/small");
	fuzz_copy("model/model.safetensors", "safetensors/model");
	fuzz_copy("old/shard-00000.h5", "h5_shard/raw");
	fuzz_copy("old/dataset.json", "dataset/small");
	fuzz_copy("m/selection.h5", "h5_selection/small");
	path = fuzz_file("m/retrain.json", data, size);
	if (!getcwd(home, sizeof home) || chdir(fuzz_path(""))) /* manifests name their data from where the job runs */
		return 0;
	(void)ns_retrain(job, path);
	if (chdir(home))
		return 0;
	if (ns_json_read(path, &json, NULL) == NS_OK)
		(void)ns_query_read(&q, json_object_get(json_object_get(json_object_get(json, "predicate"), "data"), "query"), path);
	json_decref(json);
	return 0;
}
