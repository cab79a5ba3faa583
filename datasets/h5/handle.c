#define _GNU_SOURCE
#include "datasets/h5/h5.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/base/base.h"

#define MOST 1024 /* open at once, where the process may have many */

/* the open files of this process, which share its descriptors: newest first */
static struct {
	pthread_mutex_t lock;
	struct ns_handle *newest, *oldest;
	int count, capacity;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* a third of the descriptors that the process may have: MPI, logs, results and others need theirs */
static int capacity(void)
{
	struct rlimit r;

	if (pool.capacity)
		return pool.capacity;
	pool.capacity = getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur > 3 * MOST ? MOST : (int)(r.rlim_cur / 3);
	if (pool.capacity < 4)
		pool.capacity = 4;
	return pool.capacity;
}

static void unlink_one(struct ns_handle *h)
{
	*(h->newer ? &h->newer->older : &pool.newest) = h->older;
	*(h->older ? &h->older->newer : &pool.oldest) = h->newer;
	h->older = h->newer = NULL;
}

static void put_first(struct ns_handle *h)
{
	h->older = pool.newest;
	if (pool.newest)
		pool.newest->newer = h;
	pool.newest = h;
	if (!pool.oldest)
		pool.oldest = h;
}

static void shut(struct ns_handle *h)
{
	if (h->h5)
		ns_h5_file_close(h->file);
	else
		close(h->fd);
	h->fd = -1;
	h->file = -1;
	unlink_one(h);
	pool.count--;
}

static void evict(void)
{
	struct ns_handle *h = pool.oldest, *next;

	for (; h && pool.count >= capacity(); h = next) {
		next = h->newer;
		if (!h->users)
			shut(h);
	}
}

enum ns_status ns_handle_same(const char *path, const struct stat *was, const struct stat *now)
{
	if (now->st_dev == was->st_dev && now->st_ino == was->st_ino && now->st_size == was->st_size && now->st_mtim.tv_sec == was->st_mtim.tv_sec &&
	    now->st_mtim.tv_nsec == was->st_mtim.tv_nsec)
		return NS_OK;
	return ns_fail(NS_DIGEST, "%s: was changed while it was read", path);
}

static enum ns_status open_it(struct ns_handle *h)
{
	enum ns_status status;
	struct stat now;
	int fd;

	NS_TRY(ns_open(&fd, h->path, h->below));
	status = fstat(fd, &now) ? ns_io_error(h->path, "cannot stat") : ns_handle_same(h->path, &h->was, &now);
	if (status == NS_OK && h->h5)
		status = ns_h5_open_fd(&h->file, h->path, fd);
	if (status != NS_OK || h->h5)
		close(fd);
	if (status == NS_OK && !h->h5)
		h->fd = fd;
	return status;
}

static int is_open(const struct ns_handle *h)
{
	return h->h5 ? h->file >= 0 : h->fd >= 0;
}

void ns_handle_init(struct ns_handle *h, const char *path, const struct stat *was, int below, int h5)
{
	*h = (struct ns_handle){.path = path, .was = *was, .below = below, .h5 = h5, .fd = -1, .file = -1};
}

enum ns_status ns_handle_acquire(struct ns_handle *h)
{
	enum ns_status status = NS_OK;

	pthread_mutex_lock(&pool.lock);
	if (is_open(h)) {
		unlink_one(h);
	} else {
		evict();
		status = open_it(h);
		pool.count += status == NS_OK;
	}
	if (status == NS_OK) {
		put_first(h);
		h->users++;
	}
	pthread_mutex_unlock(&pool.lock);
	return status;
}

void ns_handle_release(struct ns_handle *h)
{
	pthread_mutex_lock(&pool.lock);
	h->users--;
	pthread_mutex_unlock(&pool.lock);
}

void ns_handle_close(struct ns_handle *h)
{
	pthread_mutex_lock(&pool.lock);
	if (h->path && is_open(h))
		shut(h);
	pthread_mutex_unlock(&pool.lock);
}
