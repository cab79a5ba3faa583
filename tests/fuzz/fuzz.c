#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "host/base/base.h"
#include "jobs/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* HDF5 in this process, unless whoever starts it wants the child that looks at foreign files first */
	setenv("NS_LOOK", "0", 0);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	return 0;
}

static char folder[NS_PATH_MAX];

static void remove_folder(void)
{
	ns_remove_tree(folder);
}

const char *fuzz_folder(void)
{
	const char *under = getenv("NS_FUZZ_DIR");

	if (!*folder) {
		snprintf(folder, sizeof folder, "%.3000s/nightshift-fuzz.%ld", under ? under : "/dev/shm", (long)getpid());
		atexit(remove_folder);
	}
	if (ns_remove_tree(folder) != NS_OK || ns_mkdirs(folder) != NS_OK) {
		fprintf(stderr, "fuzz: %s\n", ns_message());
		exit(74); /* no finding: this machine has no room */
	}
	return folder;
}

const char *fuzz_path(const char *name)
{
	static char path[4][NS_PATH_MAX];
	static int next;
	char *p = path[next++ & 3];

	if (ns_path(p, "%s/%s", folder, name) != NS_OK)
		exit(74);
	return p;
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
	const char *path = fuzz_path(name);
	char dir[NS_PATH_MAX];
	FILE *f;

	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	f = fopen(path, "wb");
	if (!f && ns_mkdirs(dir) == NS_OK)
		f = fopen(path, "wb");
	if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f)) {
		fprintf(stderr, "fuzz: %s: cannot be written\n", path);
		exit(74);
	}
	return path;
}

const char *fuzz_copy(const char *name, const char *corpus)
{
	const char *root = getenv("NS_FUZZ_CORPUS"), *path;
	char from[NS_PATH_MAX], *data;
	size_t bytes;

	if (ns_path(from, "%s/%s", root ? root : "tests/fuzz/corpus", corpus) != NS_OK || ns_read_file(from, &data, &bytes) != NS_OK) {
		fprintf(stderr, "fuzz: %s (NS_FUZZ_CORPUS names tests/fuzz/corpus)\n", ns_message());
		exit(74);
	}
	path = fuzz_file(name, data, bytes);
	free(data);
	return path;
}

int fuzz_split(const uint8_t *data, size_t size, struct fuzz_part *parts, int most)
{
	const size_t n = sizeof FUZZ_CUT - 1;
	int count = 0;

	memset(parts, 0, sizeof *parts * (size_t)most);
	for (; count < most; count++) {
		const uint8_t *cut = count + 1 < most && size ? memmem(data, size, FUZZ_CUT, n) : NULL;

		parts[count] = (struct fuzz_part){data, cut ? (size_t)(cut - data) : size};
		if (!cut)
			return count + 1;
		size -= parts[count].size + n;
		data = cut + n;
	}
	return count;
}

struct ns_job *fuzz_job(void)
{
	static struct ns_conf conf;
	static struct ns_comm comm;
	static struct ns_device_set set;
	static struct ns_workers *workers;
	static struct ns_log log;
	static struct ns_job job;

	if (workers)
		return &job;
	if (ns_conf_init(&conf, ns_keys) != NS_OK || ns_comm_self(&comm) != NS_OK || ns_workers_make(&workers, 1) != NS_OK ||
	    ns_job_init(&job, "fuzz", &conf, &comm, &log, workers, &set) != NS_OK) {
		fprintf(stderr, "fuzz: %s\n", ns_message());
		exit(74);
	}
	return &job;
}

enum ns_status fuzz_dataset_open(struct ns_dataset **data, const char *path)
{
	return ns_dataset_open(NULL, data, path, 0);
}

void fuzz_shard_read(const struct ns_shard *s)
{
	int64_t i, n = s->rows.rows < 4 ? s->rows.rows : 4, image = (int64_t)s->head.h * s->head.w * s->head.c;
	uint8_t *buffer = NULL;
	size_t room = 0, bytes;

	for (i = 0; i < s->rows.rows && i < 64; i++)
		(void)ns_shard_source(s, i, &bytes);
	if (s->image_offset) {
		for (i = 0; i < n; i++)
			(void)ns_shard_read_encoded(s, i, &buffer, &room, &bytes);
	} else if (image && n && (buffer = malloc((size_t)(n * image)))) {
		(void)ns_shard_read(s, 0, n, buffer);
		(void)ns_shard_read(s, s->rows.rows - n, n, buffer);
	}
	free(buffer);
	(void)ns_shard_verify(s);
}
