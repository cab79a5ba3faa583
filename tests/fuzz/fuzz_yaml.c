/* A configuration: YAML's text, the table of all keys, and `augment:`. */
#include "tests/fuzz/fuzz.h"
#include "jobs/augment/augment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ns_augment_config config;
	struct ns_conf conf;
	json_t *tree = NULL;

	if (ns_yaml_parse(&tree, (const char *)data, size, "fuzz.yaml") == NS_OK) {
		if (ns_conf_copy(&conf, fuzz_job()->conf) == NS_OK && ns_conf_merge(&conf, tree, "fuzz.yaml") == NS_OK)
			(void)ns_recipe_parse(&config, ns_conf_node(&conf, "augment"), 28, 28, "fuzz.yaml");
		ns_conf_release(&conf);
		(void)ns_recipe_parse(&config, json_object_get(tree, "augment"), 28, 28, "fuzz.yaml");
	}
	json_decref(tree);
	return 0;
}
