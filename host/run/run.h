/*
 * host/run/run.h - what a job is made of: workers, the output directory, ownership, energy, devices, the job itself.
 */
#ifndef NS_RUN_H
#define NS_RUN_H

#include <stdint.h>

#include "host/base/base.h"
#include "host/comm/comm.h"
#include "kernels/backend.h"
#include "kernels/status.h"

/*
 * --- workers: this rank's workers: one thread a core, each single-threaded inside.
 *
 * Which worker runs a task never changes a bit of the result: tasks are numbered, and their results are combined by number.
 */

struct ns_workers;

/* One task: `task` of 0..tasks-1 on worker `worker` of 0..workers-1. */
typedef enum ns_status ns_task_fn(void *context, int task, int worker);

enum ns_status ns_workers_make(struct ns_workers **workers, int count);
void ns_workers_free(struct ns_workers *workers); /* NULL is fine */
int ns_workers_count(const struct ns_workers *workers);
/* Run all tasks, and wait. The first failure (by task number) is returned, its message handed over. */
enum ns_status ns_workers_run(struct ns_workers *workers, int tasks, ns_task_fn *fn, void *context);

/*
 * --- energy: what a node's processors have consumed, where the kernel reports it (Linux powercap, RAPL packages). It is
 * the whole node's, whoever works there.
 */

#define NS_ENERGY_FOLDER   "/sys/class/powercap"
#define NS_ENERGY_PACKAGES 16

struct ns_energy {
	int count; /* packages that can be read; 0: unknown */
	int64_t uj[NS_ENERGY_PACKAGES], range[NS_ENERGY_PACKAGES];
};

/* Read all counters under `folder`. */
void ns_energy_read(struct ns_energy *energy, const char *folder);
/* Microjoules between two readings, with at most one wrap of each counter; -1: unknown. */
int64_t ns_energy_between(const struct ns_energy *before, const struct ns_energy *after);

/*
 * --- outdir: the output directory, in which a result appears, whole or not at all.
 *
 * Work goes on in OUT.partial, which bears a marker; publishing flushes it and exchanges it for OUT in one step: at any moment,
 * and after a power cut, OUT is the old result or the new. Where OUT is a symbolic link, all that happens at its target, and the
 * link stays. The kernel holds the lock of OUT.lock while a run works, so that it never outlives its process; a file system
 * without locks is refused, unless NS_UNLOCKED is set. Nothing is ever removed that is not ours (see "ours"). One process a directory: rank 0.
 */

struct ns_outdir {
	char out[NS_PATH_MAX], partial[NS_PATH_MAX], lock[NS_PATH_MAX]; /* links followed */
	int fd;								/* of the lock; -1: not ours */
	char warning[512];						/* what went wrong after the new result was there; "" if nothing did */
};

/* Lock and mark. NS_IO: another run works there, or there is a result and not `force`, or what is there is not ours.
 * keep: the checkpoint folders that a stopped run of `verb` left stay. */
enum ns_status ns_outdir_open(struct ns_outdir *dir, const char *out, const char *verb, int force, int keep);
/* The lock alone, for a folder that is filled in place. */
enum ns_status ns_outdir_lock(struct ns_outdir *dir, const char *out, const char *verb);
/*
 * Removes the marker, flushes everything and makes it OUT. From then on nothing fails: an old result that cannot be removed stays beside it
 * as OUT.replaced.DIGITS until a later run can remove it, and `warning` says so.
 */
enum ns_status ns_outdir_publish(struct ns_outdir *dir);
/* Removes what was not published, unless it holds a checkpoint, and unlocks. Safe on one that was never opened. */
void ns_outdir_close(struct ns_outdir *dir);
/* Removes what a killed run left beside a published OUT, if nobody works there and it is ours. */
enum ns_status ns_outdir_sweep(const char *out);

/* Empty a published result; NS_IO where the folder holds something that is not ours. One that is not there is fine. */
enum ns_status ns_outdir_clear(const char *out);

/*
 * --- ours: what of a folder is nightshift's own. A folder is by its record (run.json, partial.json or night.json, of the right
 * schema), a file in it by run.json's list of outputs; of work that was never finished, of a night, and of results from before
 * subfolders were listed, by the names that nightshift gives. Anything else belongs to somebody else, and stops every removal.
 */

#define NS_MARKER "partial.json" /* of work that goes on: {"schema": "nightshift.partial/1", "verb": ...} */

/* Has it a record of ours, or is it empty? NS_IO where that cannot be read. */
enum ns_status ns_ours_is(const char *folder, int *is);
/* NS_IO names the first thing below that is not ours; nothing is touched. */
enum ns_status ns_ours_check(const char *folder);
/*
 * Check, then remove what is ours. The record of each folder goes last, so that the next run still recognises what a killed one left.
 * Symbolic links are removed, their targets stay. A folder that is not there is fine.
 */
enum ns_status ns_ours_remove(const char *folder);
/* The same, but the folder itself stays. */
enum ns_status ns_ours_empty(const char *folder);

/*
 * --- job: one job: a function of its inputs that publishes its outputs with one rename.
 *
 *	NS_TRY(ns_job_begin(job));                   OUT.partial is there, empty (or as a stopped run left it)
 *	... write into job->dir ...
 *	NS_TRY(ns_job_publish(job));                 run.json, flush, rename to OUT
 */

/* On the CPU each worker has a device and a queue; a GPU has at least this many of both, for work that runs concurrently. */
#define NS_DEVICE_QUEUES 4
struct ns_device_set {
	const struct ns_backend *backend;
	struct ns_device **devices;
	struct ns_queue **queues;
	int count, gpu; /* gpu: which one is this rank's, its number on the node */
	char description[512];
	json_t *chosen; /* op kind -> implementation, as the plans were made */
};

struct ns_job;
/* Runs another verb, by its number, as a part of this job: same ranks, workers and devices, its own configuration. Collective. */
typedef enum ns_status ns_call_fn(struct ns_job *caller, int verb, struct ns_conf *conf, int argc, char **argv);

struct ns_job {
	const char *verb;
	ns_call_fn *call; /* the program's; NULL for a job that calls none */
	struct ns_conf *conf;
	struct ns_comm *comm;
	struct ns_log *log;
	struct ns_workers *workers;
	struct ns_device_set *set;		 /* opened on first use */
	char out[NS_PATH_MAX], dir[NS_PATH_MAX]; /* published; while working; links followed */
	struct ns_outdir outdir;		 /* rank 0's */
	json_t *inputs, *outputs, *counts;	 /* go into run.json */
	json_t *digests;			 /* {path: digest} of outputs that were read again already */
	int part, parts;			 /* an array's task: this job does part `part` of `parts`; 0 of 1 for a job that does all */
	double start;
	int64_t start_time;
	struct ns_energy energy; /* at the start */
};

/* Whether piece i of the work (a shard) is this part's: whatever number of ranks each part has, parts never overlap. */
int ns_job_part_of(const struct ns_job *job, int64_t i);
/* Whether it is this rank's: the pieces of a part are distributed round-robin over its ranks. */
int ns_job_is_mine(const struct ns_job *job, int64_t i);

enum ns_status ns_job_init(struct ns_job *job, const char *verb, struct ns_conf *conf, struct ns_comm *comm, struct ns_log *log,
			   struct ns_workers *workers, struct ns_device_set *set);
void ns_job_release(struct ns_job *job);
/* Collective. keep: the checkpoint that a stopped run of this verb left in OUT.partial stays (training resumes from it). */
enum ns_status ns_job_begin(struct ns_job *job, int keep);
/* Collective. */
enum ns_status ns_job_publish(struct ns_job *job);
/* The text of a key that must be given, as --FLAG. NS_USAGE where it is not. */
enum ns_status ns_job_require(const struct ns_job *job, const char *key, const char *flag, const char **text);
/* Remember what was read: path and digest. */
void ns_job_input(struct ns_job *job, const char *what, const char *path, const char *digest);
void ns_job_count(struct ns_job *job, const char *what, int64_t n);
/* The digest of an output, in job->dir, that was read since it was written: run.json takes it instead of reading the file once more. */
void ns_job_digest(struct ns_job *job, const char *path, const char *digest);

/* Collective: fails on every rank if `status` is a failure on any; a rank that has no failure of its own gets NS_INTERNAL. */
enum ns_status ns_job_agree(struct ns_job *job, enum ns_status status);

/* Open one device for each worker, as device: in the configuration says: a name, auto, or what a night has found out for auto, "auto/NAME". */
enum ns_status ns_device_set_open(struct ns_device_set *set, const struct ns_conf *conf, struct ns_workers *workers);
/* the same for a device by name, whatever a configuration says */
enum ns_status ns_device_set_open_by(struct ns_device_set *set, const char *device, struct ns_workers *workers);
/* The set is open on `device` after it; one that is open on another is closed first, with all that was made on it. */
enum ns_status ns_device_set_hold(struct ns_device_set *set, const char *device, struct ns_workers *workers);
void ns_device_set_close(struct ns_device_set *set);

/*
 * Between install and remove, SIGTERM and USR2 ask this process to checkpoint and leave. Otherwise they end it, as they end
 * any program: a result is whole or not there.
 */
void ns_stop_install(void);
void ns_stop_remove(void);
int ns_stop_requested(void);

#define NS_CODE_VERSION "0.1.0"

/*
 * --- staged: one run of an op whose arguments lie in host memory: carried to the device and back where the device has
 * memory of its own, used in place where it has not. For what runs seldom; what runs every batch keeps buffers of its own.
 */

struct ns_staged { /* bytes 0: the slot stays empty */
	const void *in[NS_OP_MAX_IN];
	size_t in_bytes[NS_OP_MAX_IN];
	void *out[NS_OP_MAX_OUT];
	size_t out_bytes[NS_OP_MAX_OUT];
};

/* Results are there when this returns. */
enum ns_status ns_staged_run(struct ns_device *dev, struct ns_queue *queue, const struct ns_op *op, const struct ns_staged *args);
/* The same with a plan that is already made, in memory that is made at the first run (*memory NULL) and is the caller's to free; all have the same sizes. */
enum ns_status ns_staged_keep(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *args, void **memory);
/* with a plan alone */
enum ns_status ns_staged_plan(struct ns_device *dev, struct ns_queue *queue, const struct ns_plan *plan, const struct ns_staged *args);

#endif
