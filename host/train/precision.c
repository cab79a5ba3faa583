/* host/train/precision.c - precision: auto. The processor's flag says that bf16 works, not that it is faster: it is timed. */
#include <string.h>

#include "host/train/train.h"

/* seconds of the fastest of a few runs; 0 where the type is not supported */
static double time_conv(struct ns_job *job, enum ns_dtype dtype)
{
	struct ns_device *dev = job->set->devices[0];
	struct ns_op op = {.kind = NS_OP_CONV_BACKWARD, .u.conv = {8, 16, 16, 32, 32, 3, 3, 1, 1, 0, NS_BN_EPS, dtype}};
	size_t bytes = (size_t)8 * 16 * 16 * 32 * 4 * 4;
	struct ns_plan *plan = NULL;
	struct ns_args a = {{0}, {0}, NULL};
	void *memory = NULL, *workspace = NULL;
	double best = 0;
	int i;

	/* ref supports any type but is never worth it: only implementations of the backend's own count */
	if (ns_plan_make(&plan, dev, &op) != NS_OK)
		return 0;
	if (!strstr(plan->impl->name, "/ref") && dev->backend->mem_make(&memory, dev, bytes * 4 + plan->w.bytes + plan->dw.bytes) == NS_OK &&
	    dev->backend->mem_make(&workspace, dev, plan->workspace_bytes) == NS_OK) {
		char *m = memory;

		a.in[NS_CONVB_X] = m;
		a.in[NS_CONVB_DY] = m + bytes;
		a.out[NS_CONVB_DX] = m + 2 * bytes;
		a.in[NS_CONVB_W] = m + 4 * bytes;
		a.out[NS_CONVB_DW] = m + 4 * bytes + plan->w.bytes;
		a.workspace = workspace;
		for (i = 0; i < 8; i++) {
			double start = ns_now(), t;

			if (ns_plan_run(plan, &a, job->set->queues[0]) != NS_OK || dev->backend->wait(job->set->queues[0]) != NS_OK)
				break;
			t = ns_now() - start;
			if (i > 1 && (best == 0 || t < best))
				best = t;
		}
	}
	ns_plan_free(plan);
	if (memory)
		dev->backend->mem_free(dev, memory);
	if (workspace)
		dev->backend->mem_free(dev, workspace);
	return best;
}

enum ns_status ns_choose_precision(struct ns_job *job, const char *wanted, enum ns_dtype *dtype)
{
	struct {
		double f32, bf16;
		int choice;
	} t = {0, 0, NS_F32};

	if (!strncmp(wanted, "auto/", 5)) /* found out before, for all of a night */
		wanted += 5;
	if (!strcmp(wanted, "f32") || !strcmp(wanted, "bf16")) {
		*dtype = *wanted == 'f' ? NS_F32 : NS_BF16;
		return NS_OK;
	}
	if (strcmp(wanted, "auto"))
		return ns_fail(NS_CONFIG, "precision = '%s', expected auto, f32 or bf16", wanted);
	if (job->comm->rank == 0) {
		t.f32 = time_conv(job, NS_F32);
		t.bf16 = time_conv(job, NS_BF16);
		t.choice = t.bf16 > 0 && t.f32 > 0 && t.bf16 < 0.9 * t.f32 ? NS_BF16 : NS_F32;
		ns_log_event(
			job->log, "precision",
			json_pack("{s:s, s:f, s:f}", "chosen", t.choice == NS_BF16 ? "bf16" : "f32", "f32_us", t.f32 * 1e6, "bf16_us", t.bf16 * 1e6));
	}
	NS_TRY(ns_comm_broadcast(job->comm, &t, sizeof t, 0));
	*dtype = (enum ns_dtype)t.choice;
	return NS_OK;
}
