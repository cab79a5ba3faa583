#define _GNU_SOURCE
#include "host/run/outdir_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/base.h"

/* "checkpoint", and "checkpoint-1" where a training has rounds */
static int is_checkpoint(const char *name)
{
	return !strncmp(name, "checkpoint", strlen("checkpoint"));
}

static enum ns_status holds(const char *folder, const char *name, int *is)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/%s", folder, name));
	return ns_exists(path, is);
}

static enum ns_status holds_checkpoint(const char *folder, int *is)
{
	struct ns_names list;
	size_t i;

	NS_TRY(ns_list(folder, &list));
	for (*is = 0, i = 0; i < list.count; i++)
		*is |= is_checkpoint(list.name[i]);
	ns_names_release(&list);
	return NS_OK;
}

static enum ns_status is_empty(const char *folder, int *is)
{
	struct ns_names list;

	NS_TRY(ns_is_dir(folder, is));
	if (!*is)
		return NS_OK;
	NS_TRY(ns_list(folder, &list));
	*is = !list.count;
	ns_names_release(&list);
	return NS_OK;
}

/* --- what is there already --- */

/* Puts the old result back where a process died between the two renames of replace_in_two(). */
static enum ns_status recover(const struct ns_outdir *p)
{
	char old[NS_PATH_MAX];
	int there, ours;

	NS_TRY(ns_path(old, "%.4080s.replaced", p->out));
	NS_TRY(ns_exists(p->out, &there));
	if (there)
		return NS_OK;
	NS_TRY(holds(old, "run.json", &there));
	if (!there)
		return NS_OK;
	NS_TRY(ns_ours_is(old, &ours));
	return ours ? ns_rename(old, p->out) : NS_OK;
}

/* Is OUT.partial of this verb? Its marker says so, or run.json where the run was killed in the last step before publication. */
static enum ns_status is_left_by(const struct ns_outdir *p, const char *verb, int *same)
{
	char path[NS_PATH_MAX];
	json_t *json = NULL;
	enum ns_status status;
	int marked;

	NS_TRY(holds(p->partial, NS_MARKER, &marked));
	NS_TRY(ns_path(path, "%s/%s", p->partial, marked ? NS_MARKER : "run.json"));
	status = ns_json_read_if_there(path, &json, NULL); /* neither is there: the run was killed before its marker was whole */
	*same = status == NS_OK && json && !strcmp(ns_json_text(json, "verb"), verb);
	json_decref(json);
	return status == NS_BAD_DATA ? NS_OK : status;
}

static enum ns_status mark(const struct ns_outdir *p, const char *verb)
{
	char path[NS_PATH_MAX];
	enum ns_status status;
	json_t *marker;

	NS_TRY(ns_mkdirs(p->partial));
	NS_TRY(ns_path(path, "%s/" NS_MARKER, p->partial));
	marker = json_pack("{s:s, s:s}", "schema", "nightshift.partial/1", "verb", verb);
	status = ns_json_write(path, marker);
	json_decref(marker);
	return status;
}

/* Keeps only the checkpoints that a stopped run of this verb left; that all of it is ours was checked before. */
static enum ns_status keep_checkpoints(const struct ns_outdir *p)
{
	char path[NS_PATH_MAX];
	struct ns_names list;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_list(p->partial, &list));
	for (status = NS_OK, i = 0; i < list.count && status == NS_OK; i++) {
		if (!strcmp(list.name[i], NS_MARKER) || is_checkpoint(list.name[i]))
			continue;
		status = ns_path(path, "%s/%s", p->partial, list.name[i]);
		if (status == NS_OK)
			status = ns_remove_tree(path);
	}
	ns_names_release(&list);
	return status;
}

/* Keeps of OUT.partial only the checkpoints that a run of the same verb left. */
static enum ns_status clean(const struct ns_outdir *p, const char *verb, int keep)
{
	int there, ours, empty, same = 0;

	NS_TRY(ns_exists(p->partial, &there));
	if (!there)
		return NS_OK;
	NS_TRY(ns_ours_is(p->partial, &ours));
	if (!ours)
		return ns_fail(NS_IO, "%s: exists and is not nightshift's; move it away, or name another --out", p->partial);
	NS_TRY(is_empty(p->partial, &empty));
	if (keep && !empty)
		NS_TRY(is_left_by(p, verb, &same));
	if (!same)
		return ns_ours_remove(p->partial);
	NS_TRY(ns_ours_check(p->partial));
	NS_TRY(mark(p, verb));
	return keep_checkpoints(p);
}

/* Old results that nobody could remove when they were replaced, such as a colleague's: perhaps this user can. */
static void sweep_replaced(const struct ns_outdir *p)
{
	char parent[NS_PATH_MAX], path[NS_PATH_MAX], prefix[NS_PATH_MAX];
	const char *name = strrchr(p->out, '/') ? strrchr(p->out, '/') + 1 : p->out;
	struct ns_names list;
	size_t i;

	if (ns_path_parent(parent, p->out) != NS_OK || ns_path(prefix, "%.4080s.replaced.", name) != NS_OK || ns_list(parent, &list) != NS_OK)
		return;
	for (i = 0; i < list.count; i++)
		if (!strncmp(list.name[i], prefix, strlen(prefix)) && strspn(list.name[i] + strlen(prefix), "0123456789abcdef") == 16 &&
		    strlen(list.name[i]) == strlen(prefix) + 16 && ns_path(path, "%s/%s", parent, list.name[i]) == NS_OK)
			(void)ns_ours_remove(path);
	ns_names_release(&list);
}

static enum ns_status look_at_out(const struct ns_outdir *p, int force)
{
	int there, empty, ours;

	NS_TRY(ns_exists(p->out, &there));
	if (!there)
		return NS_OK;
	NS_TRY(is_empty(p->out, &empty));
	if (empty)
		return NS_OK;
	NS_TRY(holds(p->out, "run.json", &there));
	NS_TRY(ns_ours_is(p->out, &ours));
	if (!there || !ours)
		return ns_fail(NS_IO, "%s: exists and is not a result of nightshift; name another --out", p->out);
	if (!force)
		return ns_fail(NS_IO, "%s: holds a published result; name another --out, or say --force to replace it", p->out);
	return ns_ours_check(p->out); /* before the work, not after it */
}

enum ns_status ns_outdir_open(struct ns_outdir *p, const char *out, const char *verb, int force, int keep)
{
	NS_TRY(ns_outdir_lock(p, out, verb));
	NS_TRY(recover(p));
	NS_TRY(look_at_out(p, force));
	NS_TRY(clean(p, verb, keep));
	sweep_replaced(p);
	return mark(p, verb);
}

/* --- publishing --- */

/* The new result is published, so a failure to remove the old one, which lies at `old`, is only a warning. */
static void put_away(struct ns_outdir *p, const char *old)
{
	char aside[NS_PATH_MAX];
	uint64_t number;

	if (ns_ours_remove(old) == NS_OK)
		return;
	snprintf(p->warning, sizeof p->warning, "the result is published; of the one before it: %.400s", ns_message());
	if (getrandom(&number, sizeof number, 0) == sizeof number &&
	    ns_path(aside, "%.4060s.replaced.%016llx", p->out, (unsigned long long)number) == NS_OK)
		(void)!rename(old, aside);
}

/*
 * The new result is OUT: its name is flushed, and only then goes the old one (NULL: there was none). Else a power cut between the two might
 * leave the old name with half of the old files. From here on nothing fails, it is a warning.
 */
static void settle(struct ns_outdir *p, const char *old)
{
	if (ns_sync_parent(p->out) != NS_OK)
		snprintf(p->warning, sizeof p->warning, "the result is published, but a power cut may undo that: %.400s", ns_message());
	else if (old)
		put_away(p, old);
}

/* NFS and some others cannot exchange: two renames, and the old result put back if the second fails */
static enum ns_status replace_in_two(struct ns_outdir *p)
{
	char old[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(ns_path(old, "%.4080s.replaced", p->out));
	NS_TRY(ns_ours_remove(old));
	NS_TRY(ns_rename(p->out, old));
	status = ns_rename(p->partial, p->out);
	if (status != NS_OK) {
		(void)!rename(old, p->out);
		return status;
	}
	settle(p, old);
	return NS_OK;
}

static enum ns_status replace(struct ns_outdir *p)
{
	int there, empty;

	NS_TRY(ns_exists(p->out, &there));
	if (there)
		NS_TRY(is_empty(p->out, &empty));
	if (!there || empty) { /* an empty folder of the user's: rename() replaces it */
		NS_TRY(ns_rename(p->partial, p->out));
		settle(p, NULL);
		return NS_OK;
	}
	if (renameat2(AT_FDCWD, p->partial, AT_FDCWD, p->out, RENAME_EXCHANGE) == 0) {
		settle(p, p->partial);
		return NS_OK;
	}
	if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP)
		return replace_in_two(p);
	return ns_fail(NS_IO, "%s: cannot exchange it for %s: %s", p->partial, p->out, strerror(errno));
}

enum ns_status ns_outdir_publish(struct ns_outdir *p)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s/" NS_MARKER, p->partial));
	NS_TRY(ns_remove_file(path));
	NS_TRY(ns_sync_tree(p->partial));
	return replace(p);
}

/*
 * A run that was killed right after its publication leaves the old result it exchanged (as OUT.partial or OUT.replaced) and the
 * lock's file. Who finds OUT published, and nobody working there, removes them.
 */
enum ns_status ns_outdir_sweep(const char *out)
{
	struct ns_outdir p = {.fd = -1};
	char old[NS_PATH_MAX];
	enum ns_status status;
	int lock, partial, replaced;

	NS_TRY(ns_outdir_set_names(&p, out, "sweep"));
	NS_TRY(ns_path(old, "%.4080s.replaced", p.out));
	NS_TRY(ns_exists(p.lock, &lock));
	NS_TRY(ns_exists(p.partial, &partial));
	NS_TRY(ns_exists(old, &replaced));
	if (!lock && !partial && !replaced)
		return NS_OK;
	if (ns_outdir_lock(&p, out, "sweep") != NS_OK) /* another run works there */
		return NS_OK;
	status = partial ? ns_ours_remove(p.partial) : NS_OK;
	if (status == NS_OK && replaced)
		status = ns_ours_remove(old);
	ns_outdir_close(&p);
	return status;
}

enum ns_status ns_outdir_clear(const char *out)
{
	char to[NS_PATH_MAX];

	NS_TRY(ns_outdir_follow(to, out));
	return ns_ours_empty(to);
}

void ns_outdir_close(struct ns_outdir *p)
{
	char message[1024];
	int there, checkpoint;

	if (!*p->lock || p->fd < 0)
		return;
	snprintf(message, sizeof message, "%s", ns_message()); /* why the job failed: cleaning up must not replace it */
	if (ns_exists(p->partial, &there) == NS_OK && there && holds_checkpoint(p->partial, &checkpoint) == NS_OK && !checkpoint)
		(void)ns_ours_remove(p->partial);
	unlink(p->lock);
	close(p->fd);
	p->fd = -1;
	(void)ns_fail(NS_OK, "%s", message);
}
