#define _GNU_SOURCE
/* tests/host/test_host.c - configuration, arena, workers, tensors, digests: what every job stands on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/comm/comm.h"
#include "host/base/base.h"
#include "host/run/run.h"
#include "host/graph/arena_inner.h"
#include "host/graph/graph.h"
#include "kernels/formula/random.h"

static const struct ns_key keys[] = {{"seed", NULL, NS_KEY_INT, "1", 1, "", 0, 10},
				     {"train.lr", NULL, NS_KEY_REAL, "0.1", 1, "", 0, 0},
				     {"name", NULL, NS_KEY_TEXT, "null", 2, "", 0, 0},
				     {"list", NULL, NS_KEY_NODE, "[1, 2]", 1, "", 0, 0},
				     {NULL, NULL, NS_KEY_INT, NULL, 0, NULL, 0, 0}};

static void configuration(void **state)
{
	struct ns_conf c;
	json_t *tree;

	(void)state;
	assert_int_equal(ns_conf_init(&c, keys), NS_OK);
	assert_int_equal(ns_conf_int(&c, "seed"), 1);
	assert_null(ns_conf_text(&c, "name"));
	assert_int_equal(ns_conf_set(&c, "train.lr", "0.5", 0), NS_OK);
	assert_true(ns_conf_real(&c, "train.lr") == 0.5);
	assert_int_equal(ns_conf_set(&c, "train.lr", "fast", 0), NS_CONFIG);
	assert_int_equal(ns_conf_set(&c, "seed", "11", 0), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "0 to 10"));
	assert_int_equal(ns_conf_set(&c, "train.lrr", "1", 0), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "'train.lr'"));
	assert_int_equal(ns_conf_set(&c, "name", "x", 0), NS_CONFIG); /* another verb's */
	assert_int_equal(ns_conf_set(&c, "name", "2024", 1), NS_OK);
	assert_string_equal(ns_conf_text(&c, "name"), "2024");
	assert_int_equal(ns_yaml_parse(&tree, "train: {lr: 0.25}\nlist: [a]\n", 27, "here"), NS_OK);
	assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_OK);
	json_decref(tree);
	assert_true(ns_conf_real(&c, "train.lr") == 0.25);
	assert_int_equal(json_array_size(ns_conf_node(&c, "list")), 1);
	assert_int_equal(ns_yaml_parse(&tree, "name: 2025\n", 11, "here"), NS_OK); /* in a file, text without quotes is a number */
	assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_OK);
	json_decref(tree);
	assert_string_equal(ns_conf_text(&c, "name"), "2025");
	assert_int_equal(ns_yaml_parse(&tree, "name: true\n", 11, "here"), NS_OK);
	assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_CONFIG);
	json_decref(tree);
	assert_int_equal(ns_yaml_parse(&tree, "a: 1\na: 2\n", 10, "here"), NS_CONFIG); /* twice */
	ns_conf_release(&c);
}

static void names(void **state)
{
	static const char *const good[] = {"a", "_", "2026-05-04", "Cam_3.b", "0"}, *const bad[] = {"",	    "-a",    ".",    "..",   ".a", "a b",
												    "a,b",  "a/b",   "a\tb", "a\nb", "a*", "\xc3\xa4",
												    "\xe4", "a\x7f", "a\\",  "a\"",  "a'", "a|",
												    "a&",   "a;",    "a$",   "a%",   "a@", "a[",
												    "a`",   "a{",    "a:",   "a+"};
	char longest[NS_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof *good; i++)
		assert_int_equal(ns_check_name("key", good[i]), NS_OK);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(ns_check_name("key", bad[i]), NS_CONFIG);
	memset(longest, 'x', sizeof longest);
	longest[NS_NAME_MAX + 1] = 0;
	assert_int_equal(ns_check_name("key", longest), NS_CONFIG);
	longest[NS_NAME_MAX] = 0;
	assert_int_equal(ns_check_name("key", longest), NS_OK);
	assert_int_equal(ns_check_name("night.nights[3].name", "a\nb"), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "night.nights[3].name = 'a?b', expected a name")); /* on one line */
}

static void arena_never_overlaps(void **state)
{
	struct ns_buffer b[60];
	size_t total, sum = 0;
	int i, j;

	(void)state;
	for (i = 0; i < 60; i++) {
		struct ns_philox r = ns_draw(3, NS_FOR_INIT, 0, (uint64_t)i, 0);

		b[i] = (struct ns_buffer){1 + r.v[0] % 5000, (int)(r.v[1] % 50), 0, 0};
		b[i].dies = b[i].born + (int)(r.v[2] % 10);
		sum += b[i].bytes;
	}
	assert_int_equal(ns_arena_plan(b, 60, &total), NS_OK);
	assert_true(total < sum);
	for (i = 0; i < 60; i++) {
		assert_int_equal(b[i].at % 64, 0);
		assert_true(b[i].at + b[i].bytes <= total);
		for (j = 0; j < i; j++)
			if (b[i].born <= b[j].dies && b[j].born <= b[i].dies)
				assert_true(b[i].at + b[i].bytes <= b[j].at || b[j].at + b[j].bytes <= b[i].at);
	}
}

static enum ns_status square(void *context, int task, int worker)
{
	(void)worker;
	if (task == 77 || task == 90)
		return ns_fail(NS_BAD_DATA, "task %d", task);
	((int *)context)[task] = task * task;
	return NS_OK;
}

static void pool_runs_all(void **state)
{
	int out[100] = {0}, i, round;
	struct ns_workers *workers;

	(void)state;
	assert_int_equal(ns_workers_make(&workers, 4), NS_OK);
	for (round = 0; round < 50; round++) {
		memset(out, 0, sizeof out);
		assert_int_equal(ns_workers_run(workers, 70, square, out), NS_OK);
		for (i = 0; i < 70; i++)
			assert_int_equal(out[i], i * i);
	}
	assert_int_equal(ns_workers_run(workers, 100, square, out), NS_BAD_DATA);
	assert_string_equal(ns_message(), "task 77"); /* the first by number, whoever came first */
	ns_workers_free(workers);
}

static void tree_of_one_rank(void **state)
{
	float leaf[8][3], out[3], *leaves[8];
	struct ns_comm comm;
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		leaf[i][0] = 1e8f * (i % 2 ? -1 : 1) + (float)i;
		leaf[i][1] = (float)i;
		leaf[i][2] = 0.1f;
		leaves[i] = leaf[i];
	}
	assert_int_equal(ns_comm_self(&comm), NS_OK);
	assert_int_equal(ns_comm_tree_sum(&comm, 8, leaves, 3, out), NS_OK);
	assert_true(out[1] == 28);
	assert_true(out[2] == ((0.1f + 0.1f) + (0.1f + 0.1f)) + ((0.1f + 0.1f) + (0.1f + 0.1f)));
	assert_int_equal(ns_comm_tree_sum(&comm, 6, leaves, 3, out), NS_CONFIG);
	ns_comm_close(&comm);
}

static void networks_have_torchs_shapes(void **state)
{
	struct ns_arch r18 = {.blocks = {2, 2, 2, 2}, .stages = 4, .width = 64, .h = 32, .w = 32, .c = 3, .classes = 10};
	struct ns_arch r50 =
		{.bottleneck = 1, .imagenet_stem = 1, .blocks = {3, 4, 6, 3}, .stages = 4, .width = 64, .h = 224, .w = 224, .c = 3, .classes = 1000};
	struct ns_net net;

	(void)state;
	assert_int_equal(ns_net_build(&net, &r50), NS_OK);
	assert_int_equal(net.train_floats, 25557032); /* torchvision's resnet50 */
	assert_int_equal(net.embedding_dim, 2048);
	assert_true(ns_net_param(&net, "layer4.2.conv3.weight") >= 0);
	assert_true(ns_net_param(&net, "layer2.0.downsample.1.running_var") >= 0);
	assert_int_equal(ns_net_param(&net, "layer1.0.downsample.2.weight"), -1);
	ns_net_release(&net);
	assert_int_equal(ns_net_build(&net, &r18), NS_OK);
	assert_int_equal(net.train_floats, 11173962); /* resnet18 with a 3x3 stem and 10 classes */
	ns_net_release(&net);
}

static enum ns_status arch_of(int classes, int width, const char *block)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:[i,i,i,i], s:[i,i,i], s:i, s:i}", "family", "resnet", "block", block, "stem", "small", "blocks",
				 1, 1, 1, 1, "input", 32, 32, 3, "width", width, "classes", classes);
	struct ns_arch a;
	enum ns_status status = ns_arch_from_json(&a, json, "model");

	json_decref(json);
	return status;
}

/* up to a million, as long as the product with the features, and that with the images of a batch, is at most 2^28 */
static void many_classes_have_bounds(void **state)
{
	struct ns_arch a = {.blocks = {1}, .stages = 1, .width = 4, .h = 8, .w = 8, .c = 3, .classes = 1 << 17};
	struct ns_exec *e = NULL;
	struct ns_net net;

	(void)state;
	assert_int_equal(arch_of(1, 16, "basic"), NS_CONFIG);
	assert_int_equal(arch_of(1000000, 32, "basic"), NS_OK);
	assert_int_equal(arch_of(1000001, 1, "basic"), NS_CONFIG);
	assert_int_equal(arch_of(1 << 19, 64, "basic"), NS_OK); /* x 64 x 8 */
	assert_int_equal(arch_of((1 << 19) + 1, 64, "basic"), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "model: 524289 classes x 512 features are a classifier of more than 2^28 weights"));
	assert_int_equal(arch_of(1 << 17, 64, "bottleneck"), NS_OK);
	assert_int_equal(arch_of((1 << 17) + 1, 64, "bottleneck"), NS_CONFIG);
	assert_int_equal(ns_net_build(&net, &a), NS_OK);
	assert_int_equal(ns_exec_infer(&e, &net, NULL, NULL, 2049, NS_F32, 1, NULL), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "2049 images x 131072 classes are 268566528 logits at a time, expected at most 2^28"));
	assert_int_equal(ns_exec_train(&e, &(struct ns_model){.net = net}, NULL, NULL, 2049, 4098, NULL, NS_F32), NS_CONFIG);
	assert_null(e);
	ns_net_release(&net);
}

static enum ns_status read_weights(struct ns_model *m, const char *path)
{
	struct ns_found f;
	enum ns_status status = ns_found_read(&f, path);

	if (status != NS_OK)
		return status;
	status = ns_found_check_left(&f, &m->net);
	if (status == NS_OK)
		status = ns_model_take(m, &f, 0);
	ns_found_release(&f);
	return status;
}

static void weights_survive_a_file(void **state)
{
	static const char *const classes[] = {"a", "b", "c"};
	struct ns_arch a = {.blocks = {1, 1}, .stages = 2, .width = 4, .h = 8, .w = 8, .c = 3, .classes = 3};
	char path[] = "test_host_XXXXXX.safetensors", text[64];
	struct ns_model m, n;
	int fd = mkstemps(path, 12);
	FILE *f;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ns_model_make(&m, &a, classes, 3), NS_OK);
	assert_int_equal(ns_model_make(&n, &a, classes, 3), NS_OK);
	ns_model_initialise(&m, 5);
	assert_int_equal(ns_model_write_weights(&m, m.values, path), NS_OK);
	assert_int_equal(read_weights(&n, path), NS_OK);
	assert_memory_equal(m.values, n.values, sizeof *m.values * (size_t)m.net.floats);
	f = fopen(path, "r+b"); /* a header that points outside */
	assert_non_null(f);
	assert_int_equal(fseek(f, 8, SEEK_SET), 0);
	snprintf(text, sizeof text, "{\"conv1.weight\":{\"dtype\":\"F32\",\"shape\":[9],");
	fwrite(text, 1, strlen(text), f);
	fclose(f);
	assert_int_equal(read_weights(&n, path), NS_BAD_DATA);
	unlink(path);
	ns_model_release(&m);
	ns_model_release(&n);
}

static void digests(void **state)
{
	char hex[NS_SHA256_HEX];

	(void)state;
	ns_sha256(hex, "abc", 3); /* FIPS 180-2 */
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_true(json_is_null(ns_json_real(0.0 / 0.0)));
}

/* two packages, one of which wraps; a folder without counters tells nothing */
static void energy_counters_wrap(void **state)
{
	struct ns_energy before, after, none;
	char folder[] = "/tmp/nightshift-energy.XXXXXX", path[128];
	int i;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/intel-rapl:%d", folder, i);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof path, "%s/intel-rapl:%d/energy_uj", folder, i);
		assert_int_equal(ns_write_file(path, "900\n", 4), NS_OK);
		snprintf(path, sizeof path, "%s/intel-rapl:%d/max_energy_range_uj", folder, i);
		assert_int_equal(ns_write_file(path, "1000\n", 5), NS_OK);
	}
	ns_energy_read(&before, folder);
	assert_int_equal(before.count, 2);
	after = before;
	after.uj[0] = 50;  /* wrapped: 150 */
	after.uj[1] = 950; /* 50 */
	assert_int_equal(ns_energy_between(&before, &after), 200);
	assert_int_equal(ns_remove_tree(folder), NS_OK);
	ns_energy_read(&none, folder);
	assert_int_equal(none.count, 0);
	assert_int_equal(ns_energy_between(&none, &none), -1);
}

/* changed in place to the same size, its old time put back: not the file that was remembered */
static void digests_follow_changes(void **state)
{
	static const struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
	char path[] = "/tmp/nightshift-digest.XXXXXX", hex[NS_SHA256_HEX], want[NS_SHA256_HEX];
	int fd = mkstemp(path);

	(void)state;
	assert_true(write(fd, "abc", 3) == 3 && futimens(fd, old) == 0);
	sleep(3); /* so old that it is remembered */
	assert_int_equal(ns_sha256_file(hex, path), NS_OK);
	assert_true(pwrite(fd, "abd", 3, 0) == 3 && futimens(fd, old) == 0);
	assert_int_equal(ns_sha256_file(hex, path), NS_OK);
	ns_sha256(want, "abd", 3);
	assert_string_equal(hex, want);
	close(fd);
	unlink(path);
}

/* A store into a page that is dirty already changes no time of the file, as a second write within one tick of its clock changes none. */
static void young_files_are_read_again(void **state)
{
	char path[] = "/tmp/nightshift-digest.XXXXXX", hex[NS_SHA256_HEX], want[NS_SHA256_HEX], *page;
	struct stat first, second;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && write(fd, "abc", 3) == 3);
	page = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	page[0] = 'x';
	assert_int_equal(fstat(fd, &first), 0);
	assert_int_equal(ns_sha256_file(hex, path), NS_OK);
	ns_sha256(want, "xbc", 3);
	assert_string_equal(hex, want);
	page[0] = 'y';
	assert_int_equal(fstat(fd, &second), 0);
	assert_int_equal(ns_sha256_file(hex, path), NS_OK);
	ns_sha256(want, "ybc", 3);
	assert_string_equal(hex, want);
	if (memcmp(&first.st_ctim, &second.st_ctim, sizeof first.st_ctim))
		print_message("young_files_are_read_again: here the second store has changed the file's time, so it was easy to notice\n");
	munmap(page, 3);
	close(fd);
	unlink(path);
}

/* Names from an archive may hold anything; a message stays one line of UTF-8. */
static void messages_are_one_line(void **state)
{
	char name[1100];
	int i;

	(void)state;
	assert_int_equal(ns_fail(NS_BAD_DATA, "'%s'", "a\nb\t\x1b[31m\x7f"), NS_BAD_DATA);
	assert_string_equal(ns_message(), "'a\\x0Ab\\x09\\x1B[31m\\x7F'");
	assert_int_equal(ns_fail_in(NS_BAD_DATA, "%s", ns_message()), NS_BAD_DATA); /* said again it is the same */
	assert_string_equal(ns_message(), "'a\\x0Ab\\x09\\x1B[31m\\x7F': 'a\\x0Ab\\x09\\x1B[31m\\x7F'");
	ns_fail(NS_BAD_DATA, "%s", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"); /* of two, three and four bytes */
	assert_string_equal(ns_message(), "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	ns_fail(NS_BAD_DATA, "%s",
		"\xe9 \xc0\xaf \xed\xa0\x80 \xc2\x9b \xf4\x90\x80\x80 \xe2\x82"); /* Latin-1, too long, half a pair, CSI, too far, cut */
	assert_string_equal(ns_message(), "\\xE9 \\xC0\\xAF \\xED\\xA0\\x80 \\xC2\\x9B \\xF4\\x90\\x80\\x80 \\xE2\\x82");
	for (i = 0; i < 1098; i++)
		name[i] = i % 2 ? '\xa9' : '\xc3';
	name[i] = 0;
	ns_fail(NS_BAD_DATA, "x%s", name); /* no character is cut in two */
	assert_true(strlen(ns_message()) < 1024 && strlen(ns_message()) > 1000);
	assert_true(strlen(ns_message()) % 2 == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(configuration),
					   cmocka_unit_test(names),
					   cmocka_unit_test(arena_never_overlaps),
					   cmocka_unit_test(pool_runs_all),
					   cmocka_unit_test(tree_of_one_rank),
					   cmocka_unit_test(networks_have_torchs_shapes),
					   cmocka_unit_test(many_classes_have_bounds),
					   cmocka_unit_test(weights_survive_a_file),
					   cmocka_unit_test(digests),
					   cmocka_unit_test(digests_follow_changes),
					   cmocka_unit_test(young_files_are_read_again),
					   cmocka_unit_test(energy_counters_wrap),
					   cmocka_unit_test(messages_are_one_line)};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
