/* jobs/augment/augment.c - applies the fused augmentation to a data set and writes another; contact.png shows examples. */
#include "jobs/augment/augment.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "host/run/run.h"
#include "datasets/shard/shard.h"

struct augment {
	struct ns_job *job;
	struct ns_dataset *data;
	struct ns_augment_config config;
	int h, w, c;
	uint64_t seed;
	const struct ns_shard *shard;
	uint8_t *in, *out;
	struct ns_augment_sample *samples;
	struct ns_plan **plans;
};

#define BATCH 256

static enum ns_status one_batch(void *context, int task, int worker)
{
	struct augment *g = context;
	int64_t first = (int64_t)task * BATCH, n = g->shard->rows.rows - first < BATCH ? g->shard->rows.rows - first : BATCH, i;
	size_t image = (size_t)g->h * (size_t)g->w * (size_t)g->c;
	struct ns_augment_sample *s = g->samples + (int64_t)worker * BATCH;
	struct ns_staged io = {{g->in + (size_t)first * image, s},
			       {BATCH * image, BATCH * sizeof *s},
			       {g->out + (size_t)first * image},
			       {BATCH * image}};

	for (i = 0; i < BATCH; i++) /* rows past the end are computed into padding that nobody reads */
		ns_augment_draw(&s[i], &g->config, g->h, g->w, g->h, g->w, g->seed, 0, i < n ? g->shard->rows.id[first + i] : 0, 0);
	return ns_staged_plan(g->job->set->devices[worker], g->job->set->queues[worker], g->plans[worker], &io);
}

static enum ns_status one_shard(struct augment *g, int index)
{
	const struct ns_shard *s = g->shard = g->data->shards[index];
	size_t image = (size_t)g->h * (size_t)g->w * (size_t)g->c;
	int64_t n = s->rows.rows, padded = (n + BATCH - 1) / BATCH * BATCH, i;
	struct ns_shard_head head = s->head;
	struct ns_rows rows = s->rows;
	char path[NS_PATH_MAX];
	enum ns_status status;

	rows.id = malloc(sizeof *rows.id * (size_t)(n + 1));
	g->in = calloc((size_t)padded + 1, image);
	g->out = malloc((size_t)(padded + 1) * image);
	if (!rows.id || !g->in || !g->out) {
		status = ns_fail(NS_NO_MEMORY, "out of memory for a shard of %lld images", (long long)n);
		goto out;
	}
	NS_GO(ns_shard_read(s, 0, n, g->in));
	NS_GO(ns_workers_run(g->job->workers, (int)(padded / BATCH), one_batch, g));
	for (i = 0; i < n; i++)
		NS_GO(ns_pixel_id(g->out + (size_t)i * image, g->h, g->w, g->c, &rows.id[i]));
	NS_GO(ns_path(path, "%s/shard-%05d.h5", g->job->dir, index));
	status = ns_shard_write(path, &head, &rows, g->out, NULL);
out:
	free(rows.id);
	free(g->in);
	free(g->out);
	return status;
}

static enum ns_status prepare(struct augment *g)
{
	int i, workers = ns_workers_count(g->job->workers);
	struct ns_op op = {.kind = NS_OP_AUGMENT};

	op.u.augment =
		(struct ns_op_augment){.n = BATCH, .h = g->h, .w = g->w, .c = g->c, .p = g->h, .q = g->w, .out_dtype = NS_U8, .config = &g->config};
	g->samples = calloc((size_t)workers * BATCH, sizeof *g->samples);
	g->plans = calloc((size_t)workers, sizeof *g->plans);
	if (!g->samples || !g->plans)
		return ns_fail(NS_NO_MEMORY, "out of memory for workers");
	for (i = 0; i < workers; i++)
		NS_TRY(ns_plan_make(&g->plans[i], g->job->set->devices[i], &op));
	return NS_OK;
}

static void augment_release(struct augment *g)
{
	int i;

	for (i = 0; g->plans && i < ns_workers_count(g->job->workers); i++)
		ns_plan_free(g->plans[i]);
	free(g->samples);
	free(g->plans);
	ns_dataset_close(g->data);
}

/* The contact sheet: eight rows of eight pairs, an image and, right of it, the augmented one. */
static enum ns_status contact_sheet(struct augment *g)
{
	int columns = 8, lines = 8, gap = 4, i, y;
	int64_t n = g->data->shards[0]->rows.rows;
	int side = g->w > g->h ? g->w : g->h, zoom = g->w < 64 ? 64 / g->w : 1, skip = (side + 159) / 160; /* a side of at most 160 pixels */
	int w = g->w * zoom / skip > 0 ? g->w * zoom / skip : 1, h = g->h * zoom / skip > 0 ? g->h * zoom / skip : 1;
	int width = columns * (2 * w + gap) + gap, height = lines * (h + gap) + gap;
	size_t image = (size_t)g->h * (size_t)g->w * (size_t)g->c;
	uint8_t *sheet = malloc((size_t)width * (size_t)height * (size_t)g->c), *pair = malloc(2 * image), *buffer = NULL;
	char path[NS_PATH_MAX];
	struct ns_shard *after = NULL;
	size_t capacity = 0;
	enum ns_status status;

	if (!sheet || !pair) {
		status = ns_fail(NS_NO_MEMORY, "out of memory for a contact sheet");
		goto out;
	}
	memset(sheet, 255, (size_t)width * (size_t)height * (size_t)g->c);
	NS_GO(ns_path(path, "%s/shard-00000.h5", g->job->dir));
	NS_GO(ns_shard_open_seen(&after, path, 1));
	for (i = 0; i < columns * lines; i++) {
		int64_t row = i * n / (columns * lines);
		int x0 = gap + i % columns * (2 * w + gap), y0 = gap + i / columns * (h + gap), x;

		NS_GO(ns_dataset_pixels(g->data, row, g->h, g->w, g->c, pair, &buffer, &capacity));
		NS_GO(ns_shard_read(after, row, 1, pair + image));
		for (y = 0; y < h; y++)
			for (x = 0; x < 2 * w; x++)
				memcpy(sheet + ((size_t)(y0 + y) * (size_t)width + (size_t)(x0 + x)) * (size_t)g->c,
				       pair + (x >= w ? image : 0) +
					       ((size_t)(y * skip / zoom) * (size_t)g->w + (size_t)(x % w * skip / zoom)) * (size_t)g->c,
				       (size_t)g->c);
	}
	NS_GO(ns_path(path, "%s/contact.png", g->job->dir));
	status = ns_png_write(path, sheet, height, width, g->c);
out:
	ns_shard_close(after);
	free(sheet);
	free(pair);
	free(buffer);
	return status;
}

static enum ns_status run(struct augment *g, const char *path)
{
	const char *name = ns_conf_text(g->job->conf, "ingest.name"), *base = strrchr(g->job->out, '/');
	json_t *parents = json_pack("[s]", g->data->digest),
	       *made = json_pack("{s:s, s:o, s:I, s:o}", "by", "augment", "source", ns_json_string(path), "seed", (json_int_t)g->seed, "recipe",
				 ns_recipe_versioned(ns_conf_node(g->job->conf, "augment"), NS_RECIPE_VERSION));
	enum ns_status status = NS_OK;
	int i;

	for (i = g->job->comm->rank; i < g->data->count && status == NS_OK; i += g->job->comm->size)
		status = one_shard(g, i);
	NS_GO(ns_job_agree(g->job, status));
	NS_GO(ns_dataset_publish(g->job, NULL, name ? name : base ? base + 1 : g->job->out, g->data->count, parents, made));
	NS_GO(ns_job_agree(g->job, g->job->comm->rank == 0 ? contact_sheet(g) : NS_OK));
	ns_job_input(g->job, "dataset", path, g->data->digest);
	ns_job_count(g->job, "rows", g->data->rows);
	status = ns_job_publish(g->job);
out:
	json_decref(parents);
	json_decref(made);
	return status;
}

enum ns_status ns_job_augment(struct ns_job *job, int argc, char **argv)
{
	struct augment g = {.job = job, .seed = (uint64_t)ns_conf_int(job->conf, "seed")};
	const struct ns_shard_head *h;
	enum ns_status status;
	const char *path;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "augment: takes no operand; --data is required");
	NS_TRY(ns_job_require(job, "data", "data", &path));
	NS_GO(ns_dataset_open(job, &g.data, path, 0));
	h = ns_dataset_head(g.data);
	if (strcmp(h->encoding, "raw")) {
		status = ns_fail(NS_CONFIG, "%s: holds encoded images; ingest them with --size HxW to augment them", path);
		goto out;
	}
	if (!ns_conf_node(job->conf, "augment")) {
		status = ns_fail(NS_CONFIG, "augment: the configuration has no augment: list");
		goto out;
	}
	g.h = h->h;
	g.w = h->w;
	g.c = h->c;
	NS_GO(ns_recipe_parse(&g.config, ns_conf_node(job->conf, "augment"), g.h, g.w, "augment"));
	NS_GO(ns_device_set_open(job->set, job->conf, job->workers));
	NS_GO(ns_dataset_verify(job, g.data));
	NS_GO(prepare(&g));
	NS_GO(ns_job_begin(job, 0));
	status = run(&g, path);
out:
	augment_release(&g);
	return status;
}
