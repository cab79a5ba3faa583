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

static int is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int count = 0;

	while (dir && (e = readdir(dir)))
		count += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	if (dir)
		closedir(dir);
	return dir && !count;
}

enum ns_status ns_place_clear(const char *out, const char *also)
{
	if (!ns_path_exists(out))
		return NS_OK;
	if (!ns_path_is_dir(out) || !(holds(out, "run.json") || (also && holds(out, also)) || is_empty(out)))
		return ns_fail(NS_IO, "%s: exists and is no result of nightshift; name another --out", out);
	return ns_remove_tree(out);
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
		/* a file system without locks gives none; the registry's own links still hold there */
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

/* in OUT.partial only what a run of the same verb left behind, and of that the checkpoint */
static enum ns_status clean(const struct ns_place *p, const char *verb, int keep)
{
	char path[NS_PATH_MAX];
	json_t *marker = NULL;
	struct dirent *e;
	DIR *dir;
	enum ns_status status = NS_OK;

	if (!ns_path_exists(p->partial))
		return NS_OK;
	if (!holds(p->partial, MARKER) && !is_empty(p->partial))
		return ns_fail(NS_IO, "%s: exists and is not nightshift's; move it away or name another --out", p->partial);
	NS_TRY(ns_path(path, "%s/" MARKER, p->partial));
	if (!keep || ns_json_read(path, &marker, "nightshift.partial/1") != NS_OK || strcmp(ns_json_text(marker, "verb"), verb)) {
		json_decref(marker);
		return ns_remove_tree(p->partial);
	}
	json_decref(marker);
	dir = opendir(p->partial);
	while (dir && status == NS_OK && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, MARKER) && strcmp(e->d_name, "checkpoint")) {
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
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *marker;

	NS_TRY(ns_place_lock(p, out, verb));
	NS_TRY(recover(p));
	if (ns_path_exists(p->out) && !is_empty(p->out)) {
		if (!ns_path_is_dir(p->out) || !holds(p->out, "run.json"))
			return ns_fail(NS_IO, "%s: exists and is no result of nightshift; name another --out", p->out);
		if (!force)
			return ns_fail(NS_IO, "%s: holds a published result; name another --out, or say --force to replace it", p->out);
	}
	NS_TRY(clean(p, verb, keep));
	NS_TRY(ns_mkdirs(p->partial));
	NS_TRY(ns_path(path, "%s/" MARKER, p->partial));
	marker = json_pack("{s:s, s:s}", "schema", "nightshift.partial/1", "verb", verb);
	status = ns_json_write(path, marker);
	json_decref(marker);
	return status;
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
	return ns_remove_tree(old);
}

static enum ns_status replace(const struct ns_place *p)
{
	if (!ns_path_exists(p->out))
		return ns_rename(p->partial, p->out);
	if (is_empty(p->out)) /* an empty folder of the user's: rename() replaces it */
		return ns_rename(p->partial, p->out);
	if (renameat2(AT_FDCWD, p->partial, AT_FDCWD, p->out, RENAME_EXCHANGE) == 0)
		return ns_remove_tree(p->partial);
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

void ns_place_close(struct ns_place *p)
{
	if (!*p->lock || p->fd < 0)
		return;
	if (holds(p->partial, MARKER) && !holds(p->partial, "checkpoint"))
		(void)ns_remove_tree(p->partial);
	unlink(p->lock);
	close(p->fd);
	p->fd = -1;
}
