/*
 * tests/bench/ingest_loader.c - the loader that train reads with, alone: rows of a data set read, decoded, cropped at random, flipped and
 * normalised to f32.
 *
 *	ingest_loader SET SIDE EPOCHS   one worker; a JSON line with images, seconds and seconds of the processor
 *
 * ingest.sh links it with the libraries of a build.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "jobs/infer/infer.h"
#include "jobs/verb.h"

#define ROWS 16 /* at a time: a batch of 64 in train's four virtual ranks */

static const char recipe[] = "[{random_resized_crop: {range: [0.08, 1], aspect: [0.75, 1.3333]}}, {flip: 0.5}]";

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum ns_status make_model(struct ns_model *m, const struct ns_dataset *data, int side)
{
	const struct ns_shard_head *h = ns_dataset_head(data);
	json_t *json = json_pack("{s:s, s:s, s:[i], s:i, s:s, s:[i,i,i], s:i}", "family", "resnet", "block", "basic", "blocks", 1, "width", 8, "stem",
				 "small", "input", side, side, 3, "classes", h->class_count);
	struct ns_arch arch;
	enum ns_status status = json ? ns_arch_from_json(&arch, json, "model") : ns_fail(NS_NO_MEMORY, "out of memory for a network");
	int c;

	json_decref(json);
	NS_TRY(status);
	NS_TRY(ns_model_make(m, &arch, (const char *const *)h->classes, h->class_count));
	for (c = 0; c < 3; c++) {
		m->mean[c] = 0.45f;
		m->std[c] = 0.23f;
	}
	return NS_OK;
}

/* Epoch 0 warms up and is not counted. */
static enum ns_status measure(struct ns_feed *f, int64_t rows, int epochs, size_t image)
{
	void *staged = aligned_alloc(64, (f->bytes + 63) / 64 * 64), *images = aligned_alloc(64, image * ROWS * sizeof(float));
	int32_t labels[ROWS];
	double wall = 0, cpu = 0;
	int64_t at, seen = 0;
	enum ns_status status = staged && images ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for images");
	int e;

	for (e = 0; e <= epochs && status == NS_OK; e++) {
		if (e == 1) {
			wall = now(CLOCK_MONOTONIC);
			cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		}
		for (at = 0; at + ROWS <= rows && status == NS_OK && (e || at < 4 * ROWS); at += ROWS) {
			status = ns_feed_stage(f, 0, e, at, ROWS, 0, ROWS, staged, labels);
			if (status == NS_OK)
				status = ns_feed_images(f, 0, staged, images);
			seen += e ? ROWS : 0;
		}
	}
	if (status == NS_OK)
		printf("{\"images\": %lld, \"wall\": %.6f, \"cpu\": %.6f}\n", (long long)seen, now(CLOCK_MONOTONIC) - wall,
		       now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	free(staged);
	free(images);
	return status;
}

static enum ns_status run(struct ns_job *job, const char *path, int side, int epochs)
{
	struct ns_dataset *data = NULL;
	struct ns_model model = {0};
	struct ns_view view = {0};
	struct ns_feed feed = {0};
	json_t *list = NULL;
	enum ns_status status;

	NS_TRY(ns_dataset_open(job, &data, path, 0));
	view = (struct ns_view){.sets = &data, .set_count = 1, .rows = data->rows};
	NS_GO(make_model(&model, data, side));
	NS_GO(ns_device_set_open_by(job->set, "cpu", job->workers));
	NS_GO(ns_yaml_parse(&list, recipe, strlen(recipe), "recipe"));
	NS_GO(ns_feed_init(&feed, job, &view, &model, list, ROWS, 1, NS_F32));
	status = measure(&feed, view.rows, epochs, (size_t)side * (size_t)side * 3);
out:
	if (feed.lanes)
		ns_feed_release(&feed);
	json_decref(list);
	ns_model_release(&model);
	ns_dataset_close(data);
	return status;
}

int main(int argc, char **argv)
{
	struct ns_device_set set = {0};
	struct ns_workers *workers = NULL;
	struct ns_conf conf = {0};
	struct ns_comm comm = {0};
	struct ns_job job = {0};
	struct ns_log log;
	enum ns_status status;

	if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1) {
		fprintf(stderr, "usage: ingest_loader SET SIDE EPOCHS\n");
		return 64;
	}
	ns_log_init(&log, 0, 1);
	NS_GO(ns_conf_init(&conf, ns_keys));
	NS_GO(ns_comm_self(&comm));
	NS_GO(ns_workers_make(&workers, 1));
	NS_GO(ns_job_init(&job, "train", &conf, &comm, &log, workers, &set));
	status = run(&job, argv[1], atoi(argv[2]), atoi(argv[3]));
out:
	if (status != NS_OK)
		fprintf(stderr, "ingest_loader: %s\n", ns_message());
	ns_job_release(&job);
	ns_device_set_close(&set);
	ns_workers_free(workers);
	ns_comm_close(&comm);
	ns_conf_release(&conf);
	return status != NS_OK;
}
