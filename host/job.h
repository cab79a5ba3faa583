/*
 * host/job.h - one job: a function of its inputs that publishes its outputs with one rename.
 *
 *	NS_TRY(ns_job_begin(job));                   OUT.partial is there, empty (or as a stopped run left it)
 *	... write into job->dir ...
 *	NS_TRY(ns_job_publish(job));                 run.json, flush, rename to OUT
 */
#ifndef NS_JOB_H
#define NS_JOB_H

#include "host/comm.h"
#include "host/conf.h"
#include "host/energy.h"
#include "host/file.h"
#include "host/log.h"
#include "host/place.h"
#include "host/workers.h"
#include "kernels/backend.h"

/* where the host computes, one device and one queue a worker; of a GPU at least this many, for work that goes side by side */
#define NS_DEVICE_QUEUES 4
struct ns_device_set {
	const struct ns_backend *backend;
	struct ns_device **devices;
	struct ns_queue **queues;
	int count, gpu; /* gpu: which one is this rank's, its number on the node */
	char description[512];
	json_t *chosen; /* op kind -> implementation, as the plans were made */
};

struct ns_job {
	const char *verb;
	struct ns_conf *conf;
	struct ns_comm *comm;
	struct ns_log *log;
	struct ns_workers *workers;
	struct ns_device_set *set; /* opened on first use */
	char out[NS_PATH_MAX], dir[NS_PATH_MAX]; /* published; while working; links followed */
	struct ns_place place;			   /* rank 0's */
	json_t *inputs, *outputs, *counts;	   /* go into run.json */
	int part, parts; /* an array's task: this job does part `part` of `parts`; 0 of 1 for a job that does all */
	double start;
	int64_t start_time;
	struct ns_energy energy; /* at the start */
};

/* Whether piece i of the work (a shard) is this part's: whatever number of ranks each part has, parts never overlap. */
int ns_job_part_of(const struct ns_job *job, int64_t i);
/* Whether it is this rank's: the pieces of a part go round over its ranks. */
int ns_job_turn(const struct ns_job *job, int64_t i);

enum ns_status ns_job_init(struct ns_job *job, const char *verb, struct ns_conf *conf, struct ns_comm *comm,
			   struct ns_log *log, struct ns_workers *workers, struct ns_device_set *set);
void ns_job_release(struct ns_job *job);
/* Collective. keep: the checkpoint that a stopped run of this verb left in OUT.partial stays (training resumes from it). */
enum ns_status ns_job_begin(struct ns_job *job, int keep);
/* Collective. */
enum ns_status ns_job_publish(struct ns_job *job);
/* Remember what was read: path and digest. */
void ns_job_input(struct ns_job *job, const char *what, const char *path, const char *digest);
void ns_job_count(struct ns_job *job, const char *what, int64_t n);

/* Collective: `status` of any rank that failed, on all of them; only rank 0's work counts when `work` is its. */
enum ns_status ns_job_agree(struct ns_job *job, enum ns_status status);

/* Open one device for each worker, as device: in the configuration says. */
enum ns_status ns_device_set_open(struct ns_device_set *set, const struct ns_conf *conf, struct ns_workers *workers);
/* the same for a device by name, whatever a configuration says */
enum ns_status ns_device_set_open_by(struct ns_device_set *set, const char *device, struct ns_workers *workers);
void ns_device_set_close(struct ns_device_set *set);

/*
 * Between install and remove, SIGTERM and USR2 ask this process to checkpoint and leave. Elsewhere they end it, as they end
 * any program: a result is whole or not there.
 */
void ns_stop_install(void);
void ns_stop_remove(void);
int ns_stop_requested(void);

#define NS_CODE_VERSION "0.1.0"

#endif
