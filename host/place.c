#define _GNU_SOURCE
#include "host/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKER "partial.json"

static int holds(const char *folder, const char *name)
{
	char path[NS_PATH_MAX];

	return ns_path(path, "%s/%s", folder, name) == NS_OK && ns_path_exists(path);
}

/* "checkpoint", and "checkpoint-1" where a training has rounds */
static int is_checkpoint(const char *name)
{
	return !strncmp(name, "checkpoint", strlen("checkpoint"));
}

static int holds_checkpoint(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int found = 0;

	while (dir && !found && (e = readdir(dir)))
		found = is_checkpoint(e->d_name);
	if (dir)
		closedir(dir);
	return found;
}

static int is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int count = 0;

	while (dir && (e = readdir(dir))) /* a marker that was being written when its run was killed is nothing */
		count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strncmp(e->d_name, MARKER ".", strlen(MARKER "."));
	if (dir)
		closedir(dir);
	return dir && !count;
}

/*
 * Remove a folder of ours, and what says that it is ours last of all: whoever is killed at it leaves something that the next
 * run still knows.
 */
static enum ns_status remove_ours(const char *folder)
{
	static const char *const last[] = {"night.json", "run.json", MARKER};
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	DIR *dir = opendir(folder);
	struct dirent *e;
	size_t i;

	while (dir && status == NS_OK && (e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, last[0]) || !strcmp(e->d_name, last[1]) ||
		    !strcmp(e->d_name, last[2]))
			continue;
		status = ns_path(path, "%s/%s", folder, e->d_name);
		if (status == NS_OK)
			status = ns_remove_tree(path);
	}
	if (dir)
		closedir(dir);
	for (i = 0; i < sizeof last / sizeof *last && status == NS_OK; i++)
		if ((status = ns_path(path, "%s/%s", folder, last[i])) == NS_OK)
			unlink(path);
	return status == NS_OK ? ns_remove_tree(folder) : status;
}

enum ns_status ns_place_clear(const char *out, const char *also)
{
	if (!ns_path_exists(out))
		return NS_OK;
	if (!ns_path_is_dir(out) || !(holds(out, "run.json") || (also && holds(out, also)) || is_empty(out)))
		return ns_fail(NS_IO, "%s: exists and is no result of nightshift; name another --out", out);
	return remove_ours(out);
}

/* --- the lock --- */

/* the file may have been unlinked by its last owner between open and lock: then it is nobody's */
static int still_there(int fd, const char *path)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

static enum ns_status taken(const struct ns_place *p, int fd)
{
	char who[128] = "";
	ssize_t n = pread(fd, who, sizeof who - 1, 0);

	who[n > 0 ? n : 0] = 0;
	who[strcspn(who, "\n")] = 0;
	return ns_fail(NS_IO, "%s: another run works there (%s)", p->out, *who ? who : "it has just begun");
}

enum ns_status ns_place_lock(struct ns_place *p, const char *out, const char *verb)
{
	char who[128], host[64] = "?";
	int fd, code;

	p->fd = -1;
	if (!*out)
		return ns_fail(NS_USAGE, "%s: --out is empty", verb);
	NS_TRY(ns_path(p->out, "%s", out));
	while (strlen(p->out) > 1 && p->out[strlen(p->out) - 1] == '/')
		p->out[strlen(p->out) - 1] = 0;
	NS_TRY(ns_path(p->partial, "%.4000s.partial", p->out));
	NS_TRY(ns_path(p->lock, "%.4000s.lock", p->out));
	if (strrchr(p->out, '/') > p->out) {
		char parent[NS_PATH_MAX];

		NS_TRY(ns_path(parent, "%.*s", (int)(strrchr(p->out, '/') - p->out), p->out));
		NS_TRY(ns_mkdirs(parent));
	}
	for (;;) {
		fd = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			return ns_fail(NS_IO, "%s: cannot write: %s", p->lock, strerror(errno));
		code = flock(fd, LOCK_EX | LOCK_NB) ? errno : 0;
		if (code == EWOULDBLOCK) {
			enum ns_status status = taken(p, fd);

			close(fd);
			return status;
		}
		if (code && !getenv("NS_UNLOCKED")) {
			close(fd);
			return ns_fail(NS_IO,
				       "%s: cannot be locked: %s; mount the file system with locks (Lustre: -o flock), or set NS_UNLOCKED=1 where "
				       "never two runs write to one --out",
				       p->lock, strerror(code));
		}
		if (code || still_there(fd, p->lock))
			break;
		close(fd);
	}
	gethostname(host, sizeof host - 1);
	snprintf(who, sizeof who, "%s, process %ld on %.50s\n", verb, (long)getpid(), host);
	if (ftruncate(fd, 0) || pwrite(fd, who, strlen(who), 0) < 0) {
		close(fd);
		return ns_fail(NS_IO, "%s: cannot write", p->lock);
	}
	p->fd = fd;
	return NS_OK;
}

/* --- what is there already --- */

/* a process died between the two renames of a file system that cannot exchange: the old result is put back */
static enum ns_status recover(const struct ns_place *p)
{
	char old[NS_PATH_MAX];

	NS_TRY(ns_path(old, "%.4000s.replaced", p->out));
	if (!ns_path_exists(p->out) && holds(old, "run.json"))
		return ns_rename(old, p->out);
	return NS_OK;
}

/* Whose OUT.partial is: by its marker, or by run.json, with which a run was killed on the last step to its publication. */
static int left_by(const struct ns_place *p, const char *verb)
{
	char path[NS_PATH_MAX];
	json_t *json = NULL;
	int same = 0;

	if (ns_path(path, "%s/%s", p->partial, holds(p->partial, MARKER) ? MARKER : "run.json") == NS_OK &&
	    ns_json_read(path, &json, NULL) == NS_OK)
		same = !strcmp(ns_json_text(json, "verb"), verb);
	json_decref(json);
	return same;
}

static enum ns_status mark(const struct ns_place *p, const char *verb)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *marker;

	NS_TRY(ns_mkdirs(p->partial));
	NS_TRY(ns_path(path, "%s/" MARKER, p->partial));
	marker = json_pack("{s:s, s:s}", "schema", "nightshift.partial/1", "verb", verb);
	status = ns_json_write(path, marker);
	json_decref(marker);
	return status;
}

/* in OUT.partial only what a run of the same verb left behind, and of that the checkpoints */
static enum ns_status clean(const struct ns_place *p, const char *verb, int keep)
{
	char path[NS_PATH_MAX];
	struct dirent *e;
	DIR *dir;
	enum ns_status status = NS_OK;

	if (!ns_path_exists(p->partial))
		return NS_OK;
	if (!holds(p->partial, MARKER) && !holds(p->partial, "run.json") && !is_empty(p->partial))
		return ns_fail(NS_IO, "%s: exists and is not nightshift's; move it away or name another --out", p->partial);
	if (!keep || !left_by(p, verb))
		return remove_ours(p->partial);
	NS_TRY(mark(p, verb));
	dir = opendir(p->partial);
	while (dir && status == NS_OK && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, MARKER) && !is_checkpoint(e->d_name)) {
			status = ns_path(path, "%s/%s", p->partial, e->d_name);
			if (status == NS_OK)
				status = ns_remove_tree(path);
		}
	if (dir)
		closedir(dir);
	return status;
}

enum ns_status ns_place_open(struct ns_place *p, const char *out, const char *verb, int force, int keep)
{
	NS_TRY(ns_place_lock(p, out, verb));
	NS_TRY(recover(p));
	if (ns_path_exists(p->out) && !is_empty(p->out)) {
		if (!ns_path_is_dir(p->out) || !holds(p->out, "run.json"))
			return ns_fail(NS_IO, "%s: exists and is no result of nightshift; name another --out", p->out);
		if (!force)
			return ns_fail(NS_IO, "%s: holds a published result; name another --out, or say --force to replace it", p->out);
	}
	NS_TRY(clean(p, verb, keep));
	return mark(p, verb);
}

/* --- publishing --- */

/* NFS and some others cannot exchange: two renames, and the old result put back if the second fails */
static enum ns_status replace_in_two(const struct ns_place *p)
{
	char old[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(ns_path(old, "%.4000s.replaced", p->out));
	NS_TRY(ns_place_clear(old, NULL));
	NS_TRY(ns_rename(p->out, old));
	status = ns_rename(p->partial, p->out);
	if (status != NS_OK) {
		(void)!rename(old, p->out);
		return status;
	}
	return remove_ours(old);
}

static enum ns_status replace(const struct ns_place *p)
{
	if (!ns_path_exists(p->out))
		return ns_rename(p->partial, p->out);
	if (is_empty(p->out)) /* an empty folder of the user's: rename() replaces it */
		return ns_rename(p->partial, p->out);
	if (renameat2(AT_FDCWD, p->partial, AT_FDCWD, p->out, RENAME_EXCHANGE) == 0)
		return remove_ours(p->partial);
	if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP)
		return replace_in_two(p);
	return ns_fail(NS_IO, "%s: cannot exchange it for %s: %s", p->partial, p->out, strerror(errno));
}

enum ns_status ns_place_publish(struct ns_place *p)
{
	char path[NS_PATH_MAX], *slash;

	NS_TRY(ns_path(path, "%s/" MARKER, p->partial));
	unlink(path);
	NS_TRY(ns_sync_dir(p->partial));
	NS_TRY(replace(p));
	NS_TRY(ns_path(path, "%s", p->out));
	slash = strrchr(path, '/');
	if (slash && slash > path)
		*slash = 0;
	return ns_sync_dir(slash ? (slash == path ? "/" : path) : ".");
}

/*
 * A run that was killed right after its publication leaves the old result it exchanged (as OUT.partial or OUT.replaced) and the
 * lock's file. Who finds OUT done, and nobody working there, takes them away.
 */
enum ns_status ns_place_sweep(const char *out)
{
	struct ns_place p = {.fd = -1};
	char old[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(ns_path(p.lock, "%.4000s.lock", out));
	NS_TRY(ns_path(p.partial, "%.4000s.partial", out));
	NS_TRY(ns_path(old, "%.4000s.replaced", out));
	if (!ns_path_exists(p.lock) && !ns_path_exists(p.partial) && !ns_path_exists(old))
		return NS_OK;
	if (ns_place_lock(&p, out, "sweep") != NS_OK) /* somebody does */
		return NS_OK;
	status = holds(p.partial, MARKER) || holds(p.partial, "run.json") || is_empty(p.partial) ? remove_ours(p.partial) : NS_OK;
	if (status == NS_OK && (holds(old, "run.json") || is_empty(old)))
		status = remove_ours(old);
	ns_place_close(&p);
	return status;
}

void ns_place_close(struct ns_place *p)
{
	if (!*p->lock || p->fd < 0)
		return;
	if (holds(p->partial, MARKER) && !holds_checkpoint(p->partial))
		(void)remove_ours(p->partial);
	unlink(p->lock);
	close(p->fd);
	p->fd = -1;
}
