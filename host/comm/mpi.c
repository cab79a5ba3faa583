/*
 * host/comm/mpi.c - the only file that includes mpi.h. Every collective is started without blocking and then waited for with a
 * timeout: if a rank does not make the call, the others ask each other for their call counts, name the missing ranks and the call, and
 * fail together. The clock is monotonic, also for MPI_Init, so that setting a node's time ends no rank. (MPI_Wtime may read any clock.)
 */
#define _GNU_SOURCE
#include "host/comm/comm.h"

#include <errno.h>
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/base/base.h"

#define PIECE	   ((size_t)1 << 30) /* MPI counts are int */
#define GRACE	   3.0		     /* seconds for answers to "where are you?" */
#define ASK	   71		     /* tags of the second communicator */
#define ANSWER	   72
#define PROBE	   0.05 /* seconds between two checks for questions while waiting */
#define MOST_NAMED 8

struct who { /* identifies a rank in messages */
	char host[48];
	int64_t pid;
};

struct mpi {
	MPI_Comm ask; /* questions and answers, apart from the collectives */
	struct who *who;
	const char *call; /* the call that this rank waits in */
	int64_t calls;	  /* calls begun so far: equal on ranks that wait in the same call */
	int broken;	  /* a rank did not make a call: nothing collective can follow */
};

static enum ns_status check(int code, const char *what)
{
	char text[MPI_MAX_ERROR_STRING];
	int len = 0;

	if (code == MPI_SUCCESS)
		return NS_OK;
	MPI_Error_string(code, text, &len);
	return ns_fail(NS_INTERNAL, "%s: %.*s", what, len, text);
}

/*
 * --- beginning and ending ---
 *
 * MPI_Init and MPI_Finalize wait for all ranks and have no nonblocking form: a thread with a timer ends this rank if they do
 * not return, and the launcher ends the others.
 */
struct watch {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t over;
	const char *call;
	double timeout;
	int running, done;
};

static void *watch_over(void *data)
{
	struct watch *w = data;
	struct timespec until;
	char host[48] = "";
	int code = 0;

	clock_gettime(CLOCK_MONOTONIC, &until); /* the condition's clock, see watch_begin() */
	until.tv_sec += (time_t)w->timeout + 1;
	pthread_mutex_lock(&w->lock);
	while (!w->done && code != ETIMEDOUT)
		code = pthread_cond_timedwait(&w->over, &w->lock, &until);
	if (!w->done) {
		gethostname(host, sizeof host - 1);
		fprintf(stderr, "nightshift: %s: rank %s (%s, process %ld) came, but not every rank did within %g s (comm.timeout)\n", w->call,
			getenv("OMPI_COMM_WORLD_RANK") ? getenv("OMPI_COMM_WORLD_RANK")
			: getenv("PMIX_RANK")	       ? getenv("PMIX_RANK")
						       : "?",
			host, (long)getpid(), w->timeout);
		_exit(70);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void watch_begin(struct watch *w, const char *call, double timeout)
{
	pthread_condattr_t attr;

	*w = (struct watch){.lock = PTHREAD_MUTEX_INITIALIZER, .call = call, .timeout = timeout};
	if (!(timeout > 0) || pthread_condattr_init(&attr))
		return;
	if (!pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) && !pthread_cond_init(&w->over, &attr)) {
		w->running = pthread_create(&w->thread, NULL, watch_over, w) == 0;
		if (!w->running)
			pthread_cond_destroy(&w->over);
	}
	pthread_condattr_destroy(&attr);
}

static void watch_end(struct watch *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->done = 1;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->over);
}

/* --- who is missing --- */

/* Every waiting rank answers questions: an answer is how many calls this rank has begun. */
static void answer_questions(struct mpi *m)
{
	int asked = 0, nothing;
	MPI_Status from;

	while (MPI_Iprobe(MPI_ANY_SOURCE, ASK, m->ask, &asked, &from) == MPI_SUCCESS && asked) {
		MPI_Recv(&nothing, 1, MPI_INT, from.MPI_SOURCE, ASK, m->ask, MPI_STATUS_IGNORE);
		MPI_Send(&m->calls, 1, MPI_INT64_T, from.MPI_SOURCE, ANSWER, m->ask); /* small, so it does not block */
	}
}

static void hear_answers(struct mpi *m, int64_t *at)
{
	int heard = 0;
	MPI_Status from;

	while (MPI_Iprobe(MPI_ANY_SOURCE, ANSWER, m->ask, &heard, &from) == MPI_SUCCESS && heard)
		MPI_Recv(&at[from.MPI_SOURCE], 1, MPI_INT64_T, from.MPI_SOURCE, ANSWER, m->ask, MPI_STATUS_IGNORE);
}

/* "rank 3 (n2, process 4711), rank 5 (...) and 2 more": the ranks that, according to `at`, are not in this rank's call */
static int name_missing(const struct ns_comm *comm, const int64_t *at, int64_t here, char *text, size_t size)
{
	const struct mpi *m = comm->data;
	int r, count = 0;
	size_t len = 0;

	*text = 0;
	for (r = 0; r < comm->size; r++) {
		if (r == comm->rank || at[r] == here)
			continue;
		if (count++ < MOST_NAMED && len < size)
			len += (size_t)snprintf(text + len, size - len, "%srank %d (%s, process %lld%s)", len ? ", " : "", r, m->who[r].host,
						(long long)m->who[r].pid, at[r] < 0 ? "" : ", in another call");
	}
	if (count > MOST_NAMED && len < size)
		snprintf(text + len, size - len, " and %d more", count - MOST_NAMED);
	return count;
}

static enum ns_status too_late(struct ns_comm *comm)
{
	struct mpi *m = comm->data;
	int64_t *at = malloc((size_t)comm->size * sizeof *at);
	struct timespec moment = {0, 5000000};
	int nothing = 0, r, missing;
	char text[900];
	double until;

	m->broken = 1;
	if (!at)
		return ns_fail(NS_NO_MEMORY, "%s: not every rank came within %g s", m->call, comm->timeout);
	for (r = 0; r < comm->size; r++) {
		MPI_Request sent;

		at[r] = -1;
		if (r != comm->rank && MPI_Isend(&nothing, 1, MPI_INT, r, ASK, m->ask, &sent) == MPI_SUCCESS)
			MPI_Request_free(&sent);
	}
	for (until = ns_now() + GRACE; ns_now() < until; nanosleep(&moment, NULL)) {
		answer_questions(m);
		hear_answers(m, at);
	}
	missing = name_missing(comm, at, m->calls, text, sizeof text);
	free(at);
	if (missing)
		return ns_fail(NS_INTERNAL, "%s (call %lld of this run): %s did not come within %g s (comm.timeout)", m->call, (long long)m->calls,
			       text, comm->timeout);
	return ns_fail(NS_INTERNAL,
		       "%s (call %lld of this run): every rank came, but the call did not end within %g s (comm.timeout): check the network", m->call,
		       (long long)m->calls, comm->timeout);
}

/* --- waiting --- */

static enum ns_status begin(struct ns_comm *comm, const char *call)
{
	struct mpi *m = comm->data;

	if (m->broken)
		return ns_fail(NS_INTERNAL, "%s: another rank did not come to an earlier call", call);
	m->call = call;
	m->calls++;
	return NS_OK;
}

/* Spins for a moment, then yields the core, and after a second polls only ten thousand times a second. */
static void pause_while(double waited)
{
	struct timespec moment = {0, 100000};

	if (waited > 1)
		nanosleep(&moment, NULL);
	else if (waited > 50e-6)
		sched_yield();
}

static enum ns_status finish(struct ns_comm *comm, int code, MPI_Request *request)
{
	struct mpi *m = comm->data;
	double start = ns_now(), looked = start, now;
	int done = 0;

	NS_TRY(check(code, m->call));
	for (;;) {
		NS_TRY(check(MPI_Test(request, &done, MPI_STATUS_IGNORE), m->call));
		if (done)
			return NS_OK;
		now = ns_now();
		pause_while(now - start);
		if (now - looked < PROBE)
			continue;
		looked = now;
		answer_questions(m);
		if (comm->timeout > 0 && now - start > comm->timeout)
			return too_late(comm);
	}
}

static enum ns_status mpi_barrier(struct ns_comm *comm)
{
	MPI_Request r;

	NS_TRY(begin(comm, "MPI_Barrier"));
	return finish(comm, MPI_Ibarrier(MPI_COMM_WORLD, &r), &r);
}

static enum ns_status mpi_broadcast(struct ns_comm *comm, void *data, size_t bytes, int root)
{
	size_t at;

	for (at = 0; at < bytes; at += PIECE) {
		int n = (int)(bytes - at < PIECE ? bytes - at : PIECE);
		MPI_Request r;

		NS_TRY(begin(comm, "MPI_Bcast"));
		NS_TRY(finish(comm, MPI_Ibcast((char *)data + at, n, MPI_BYTE, root, MPI_COMM_WORLD, &r), &r));
	}
	return NS_OK;
}

static enum ns_status mpi_sum_i64(struct ns_comm *comm, int64_t *data, size_t n)
{
	MPI_Request r;

	NS_TRY(begin(comm, "MPI_Allreduce"));
	return finish(comm, MPI_Iallreduce(MPI_IN_PLACE, data, (int)n, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD, &r), &r);
}

static enum ns_status mpi_exchange(struct ns_comm *comm, const float *send, const int *send_counts, float *receive, const int *receive_counts)
{
	int *at = malloc(2 * (size_t)comm->size * sizeof *at), *from = at + comm->size, i;
	enum ns_status status;
	MPI_Request r;

	if (!at)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d offsets", comm->size);
	for (i = 0; i < comm->size; i++) {
		at[i] = i ? at[i - 1] + send_counts[i - 1] : 0;
		from[i] = i ? from[i - 1] + receive_counts[i - 1] : 0;
	}
	status = begin(comm, "MPI_Alltoallv");
	if (status == NS_OK)
		status = finish(comm, MPI_Ialltoallv(send, send_counts, at, MPI_FLOAT, receive, receive_counts, from, MPI_FLOAT, MPI_COMM_WORLD, &r),
				&r);
	free(at);
	return status;
}

static enum ns_status mpi_gather(struct ns_comm *comm, float *data, const int *counts, const int *at)
{
	MPI_Request r;

	NS_TRY(begin(comm, "MPI_Allgatherv"));
	return finish(comm, MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, data, counts, at, MPI_FLOAT, MPI_COMM_WORLD, &r), &r);
}

static enum ns_status mpi_plain_sum(struct ns_comm *comm, float *data, size_t n)
{
	(void)comm;
	return check(MPI_Allreduce(MPI_IN_PLACE, data, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");
}

static void mpi_abort(struct ns_comm *comm, int code)
{
	(void)comm;
	MPI_Abort(MPI_COMM_WORLD, code);
}

static void mpi_close(struct ns_comm *comm)
{
	struct mpi *m = comm->data;
	struct watch w;

	watch_begin(&w, "MPI_Finalize", comm->timeout);
	if (m && !m->broken)
		MPI_Comm_free(&m->ask);
	if (m)
		free(m->who);
	free(m);
	comm->data = NULL;
	MPI_Finalize();
	watch_end(&w);
}

static const struct ns_comm_ops mpi_ops = {mpi_barrier, mpi_broadcast, mpi_sum_i64, mpi_exchange, mpi_gather, mpi_plain_sum, mpi_abort, mpi_close};

/* this rank among those of its node */
static enum ns_status look_around(struct ns_comm *comm)
{
	MPI_Comm node;

	NS_TRY(check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node), "MPI_Comm_split_type"));
	MPI_Comm_rank(node, &comm->local_rank);
	MPI_Comm_size(node, &comm->local_size);
	comm->node = comm->rank;
	NS_TRY(check(MPI_Bcast(&comm->node, 1, MPI_INT, 0, node), "MPI_Bcast"));
	MPI_Comm_free(&node);
	return NS_OK;
}

int ns_comm_mpi_wants_pmix(void)
{
#ifdef OPEN_MPI
	return 1;
#else
	return 0;
#endif
}

static enum ns_status meet(struct ns_comm *comm, struct mpi *m, int *argc, char ***argv)
{
	struct who me = {.pid = getpid()};
	int provided;

	NS_TRY(check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread"));
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	comm->ops = &mpi_ops;
	MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
	NS_TRY(look_around(comm));
	NS_TRY(check(MPI_Comm_dup(MPI_COMM_WORLD, &m->ask), "MPI_Comm_dup"));
	m->who = calloc((size_t)comm->size, sizeof *m->who);
	if (!m->who)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d ranks", comm->size);
	gethostname(me.host, sizeof me.host - 1);
	return check(MPI_Allgather(&me, sizeof me, MPI_BYTE, m->who, sizeof me, MPI_BYTE, MPI_COMM_WORLD), "MPI_Allgather");
}

enum ns_status ns_comm_mpi(struct ns_comm *comm, int *argc, char ***argv)
{
	struct mpi *m = calloc(1, sizeof *m);
	enum ns_status status;
	struct watch w;

	if (!m)
		return ns_fail(NS_NO_MEMORY, "out of memory for MPI");
	comm->data = m;
	watch_begin(&w, "MPI_Init", comm->timeout);
	status = meet(comm, m, argc, argv);
	watch_end(&w);
	return status;
}
