/*
 * datasets/source/foreign.c - containers that are not read, by their name or their first bytes: each is refused with a command that makes of it what
 * is read, by libraries of those who have such files. Adding one: a row.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "host/base/base.h"

#define PICKLE	   "loading one can run anything, so it is never read here: if you trust it (this one as CIFAR-10 has it), "
#define CLASS_EACH "makes a folder of each class: "

static const struct foreign {
	const char *what;
	const char *ends[4]; /* of names, or NULL */
	const char *magic;   /* first bytes, or NULL */
	const char *says;
	const char *python; /* with the file as sys.argv[1] */
} foreigners[] = {
	{"Parquet",
	 {".parquet"},
	 "PAR1",
	 CLASS_EACH,
	 "import os, sys, pyarrow.parquet as q; [(os.makedirs('images/%s' % r['label'], exist_ok=True), open('images/%s/%d' % (r['label'], i), "
	 "'wb').write(r['image']['bytes'])) for i, r in enumerate(r for b in q.ParquetFile(sys.argv[1]).iter_batches(256) for r in b.to_pylist())]"},
	{"an Arrow file",
	 {".feather"},
	 "ARROW1",
	 CLASS_EACH,
	 "import os, sys, pyarrow as a; [(os.makedirs('images/%s' % r['label'], exist_ok=True), open('images/%s/%d' % (r['label'], i), "
	 "'wb').write(r['image']['bytes'])) for i, r in enumerate(a.ipc.open_file(a.memory_map(sys.argv[1])).read_all().to_pylist())]"},
	{"an Arrow stream",
	 {".arrow"},
	 NULL,
	 CLASS_EACH,
	 "import os, sys, pyarrow as a; [(os.makedirs('images/%s' % r['label'], exist_ok=True), open('images/%s/%d' % (r['label'], i), "
	 "'wb').write(r['image']['bytes'])) for i, r in enumerate(a.ipc.open_stream(a.memory_map(sys.argv[1])).read_all().to_pylist())]"},
	{"TFRecord",
	 {".tfrecord", ".tfrecords"},
	 NULL,
	 CLASS_EACH,
	 "import os, sys, tensorflow as t; [(os.makedirs('images/%d' % y, exist_ok=True), open('images/%d/%d' % (y, i), 'wb').write(x)) for i, r in "
	 "enumerate(t.data.TFRecordDataset(sys.argv[1]).as_numpy_iterator()) for f in [t.train.Example.FromString(r).features.feature] for x, y in "
	 "[(f['image'].bytes_list.value[0], f['label'].int64_list.value[0])]]"},
	{"LMDB",
	 {".mdb", ".lmdb"},
	 NULL,
	 "writes its values, where they are files of images, as such: ",
	 "import os, sys, lmdb; os.makedirs('images', exist_ok=True); [open('images/%d' % i, 'wb').write(v) for i, (k, v) in "
	 "enumerate(lmdb.open(sys.argv[1], subdir=os.path.isdir(sys.argv[1]), readonly=True, lock=False).begin().cursor())]"},
	{"a pickle",
	 {".pkl", ".pickle"},
	 "\x80",
	 PICKLE "this makes a .npz: ",
	 "import sys, pickle, numpy; d = pickle.load(open(sys.argv[1], 'rb'), encoding='latin1'); numpy.savez('images.npz', "
	 "images=d['data'].reshape(-1, 3, 32, 32), labels=d['labels'])"},
};

/* A name ends so; TFRecords have numbers behind: x.tfrecord-00000-of-00010. */
static int is_called(const char *path, const char *end)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t n = strlen(base), most = strlen(end), i;

	for (i = 0; i + most <= n; i++)
		if (!strncasecmp(base + i, end, most) && (!base[i + most] || base[i + most] == '-'))
			return 1;
	return 0;
}

static int is_pickle(const uint8_t head[6])
{
	return head[0] == 0x80 && head[1] >= 2 && head[1] <= 5; /* its protocol's number */
}

/* What the file at `path` is, by its first bytes, or else by its name; NULL: none of these. */
static enum ns_status find(const char *path, const struct foreign **found)
{
	uint8_t head[6] = {0};
	int fd, is;
	ssize_t n;
	size_t i, k;

	*found = NULL;
	NS_TRY(ns_is_file(path, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_open(&fd, path, 0));
	NS_AGAIN(n, pread(fd, head, sizeof head, 0));
	close(fd);
	if (n < 0)
		return ns_io_error(path, "cannot read");
	for (i = 0; i < sizeof foreigners / sizeof *foreigners && !*found; i++) {
		const char *magic = foreigners[i].magic;

		if (magic && !memcmp(head, magic, strlen(magic)) && (*magic != '\x80' || is_pickle(head)))
			*found = &foreigners[i];
	}
	for (i = 0; i < sizeof foreigners / sizeof *foreigners && !*found; i++)
		for (k = 0; k < 4 && foreigners[i].ends[k]; k++)
			if (is_called(path, foreigners[i].ends[k]))
				*found = &foreigners[i];
	return NS_OK;
}

/* LMDB is a folder with a file data.mdb. */
static enum ns_status inside(const char *path, const struct foreign **found)
{
	char data[NS_PATH_MAX];

	NS_TRY(find(path, found));
	if (*found)
		return NS_OK;
	NS_TRY(ns_path(data, "%s/data.mdb", path));
	return find(data, found);
}

static enum ns_status foreign_takes(const char *path, int *takes)
{
	const struct foreign *found;

	NS_TRY(inside(path, &found));
	*takes = found != NULL;
	return NS_OK;
}

static enum ns_status foreign_open(struct ns_source *s)
{
	const struct foreign *found;

	NS_TRY(inside(s->path, &found));
	if (!found)
		return ns_fail(NS_IO, "%s: was changed while it was read", s->path);
	return ns_fail(NS_BAD_DATA, "%.300s: is %s, expected images or arrays; %spython3 -c \"%s\" FILE", s->path, found->what, found->says,
		       found->python);
}

static enum ns_status foreign_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	(void)item;
	(void)out;
	return ns_fail(NS_INTERNAL, "%s: is not read", s->path);
}

static void foreign_close(struct ns_source *s)
{
	(void)s;
}

const struct ns_source_kind ns_source_foreign = {"foreign", foreign_takes, foreign_open, foreign_get, foreign_close, NULL, 1, NULL};
