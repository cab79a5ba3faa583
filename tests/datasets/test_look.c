/* The child process that looks at HDF5 files first: what it may not do, and what becomes of one that crashes, loops or wants memory. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char folder[] = "/tmp/nightshift-look.XXXXXX", path[128];

static void write_one(const char *to, uint64_t value)
{
	hsize_t n = 1;
	hid_t file;

	assert_int_equal(ns_h5_create(&file, to), NS_OK);
	assert_int_equal(ns_h5_write(file, to, "group/x", NS_H5_U64, 1, &n, &value), NS_OK);
	assert_int_equal(ns_h5_set_text(file, to, "/", "name", "einmal \xc3\xa4"), NS_OK);
	assert_int_equal(ns_h5_close(file, to), NS_OK);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/x.h5", folder);
	write_one(path, 7);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return ns_remove_tree(folder) != NS_OK;
}

static enum ns_status reads(hid_t file, const char *name, const struct stat *st)
{
	uint64_t *x = NULL;
	enum ns_status status = ns_h5_read(file, name, "group/x", NS_H5_U64, 1, 1, (void **)&x);

	if (status == NS_OK && (*x != 7 || st->st_size < 100))
		status = ns_fail(NS_BAD_DATA, "%s: x is %d", name, (int)*x);
	free(x);
	return status;
}

static enum ns_status reaches_out(hid_t file, const char *name, const struct stat *st)
{
	int held = 0, fd;

	(void)file;
	(void)st;
	for (fd = 1; fd < 256; fd++) /* 0 is the pipe */
		held += fcntl(fd, F_GETFD) >= 0 || write(fd, "", 0) == 0;
	return ns_fail(NS_BAD_DATA, "%s: file %d, socket %d, process %d, signal %d, removed %d, held %d", name, open("/etc/passwd", O_RDONLY) >= 0,
		       socket(AF_INET, SOCK_STREAM, 0) >= 0, fork() > 0, kill(getppid(), 0) == 0, unlink(name) == 0, held);
}

static enum ns_status crashes(hid_t file, const char *name, const struct stat *st)
{
	static volatile int *volatile nowhere;

	(void)file;
	(void)name;
	(void)st;
	*nowhere = 1;
	return NS_OK;
}

static enum ns_status loops(hid_t file, const char *name, const struct stat *st)
{
	volatile int on = 1;

	(void)file;
	(void)name;
	(void)st;
	while (on)
		;
	return NS_OK;
}

static enum ns_status wants_memory(hid_t file, const char *name, const struct stat *st)
{
	void *p = mmap(NULL, (size_t)3 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)file;
	(void)st;
	return p == MAP_FAILED ? ns_fail(NS_NO_MEMORY, "%s: no memory", name) : NS_OK;
}

static void refused(ns_look_fn *look, enum ns_status status, const char *text)
{
	const char *paths[2] = {path, path};

	assert_int_equal(ns_look(paths, 2, 0, look), status);
	if (!strstr(ns_message(), text))
		fail_msg("'%s' is not in '%s'", text, ns_message());
}

static void is_shut_in(void **state)
{
	const char *one = path;

	(void)state;
	assert_int_equal(ns_look(&one, 1, 1, reads), NS_OK);
	refused(reaches_out, NS_BAD_DATA, "file 0, socket 0, process 0, signal 0, removed 0, held 0");
	if (!SANITIZED) { /* whose shadow takes terabytes, and whose crash is an exit */
		refused(wants_memory, NS_BAD_DATA, "more than a file of its size may need");
		refused(crashes, NS_BAD_DATA, "crashed over it (in a process of its own, signal 11)");
	}
	refused(loops, NS_BAD_DATA, "takes longer");
	assert_int_equal(access(path, F_OK), 0);
}

/* of several, each is looked at, and none taken for another */
static void each_is_looked_at(void **state)
{
	char other[160];
	const char *paths[2] = {path, other};

	(void)state;
	snprintf(other, sizeof other, "%s/y.h5", folder);
	write_one(other, 9);
	assert_int_equal(ns_look(paths, 2, 0, reads), NS_BAD_DATA);
	if (!strstr(ns_message(), "y.h5: x is 9"))
		fail_msg("'%s'", ns_message());
}

/* what was looked at is not looked at again, until it is another file */
static enum ns_status counts(hid_t file, const char *name, const struct stat *st)
{
	(void)st;
	return reads(file, name, st) == NS_OK ? NS_OK : ns_fail(NS_BAD_DATA, "it was looked at");
}

static void is_remembered(void **state)
{
	const char *one = path;
	struct stat st;

	(void)state;
	assert_int_equal(ns_look(&one, 1, 0, counts), NS_OK);
	assert_int_equal(ns_look(&one, 1, 0, counts), NS_OK);
	assert_int_equal(stat(path, &st), 0);
	write_one(path, 8);
	assert_int_equal(ns_look(&one, 1, 0, counts), NS_BAD_DATA);
	assert_int_equal(ns_look(&one, 1, 0, counts), NS_BAD_DATA); /* a refusal is not remembered as leave */
	write_one(path, 7);
	assert_int_equal(ns_look(&one, 1, 0, counts), NS_OK);
}

static void other_kinds(void **state)
{
	char other[160];
	const char *one = other;

	(void)state;
	snprintf(other, sizeof other, "%s/pipe", folder);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(ns_look(&one, 1, 0, reads), NS_IO);
	snprintf(other, sizeof other, "%s/link", folder);
	assert_int_equal(symlink("x.h5", other), 0);
	assert_int_equal(ns_look(&one, 1, 0, reads), NS_OK);
	assert_int_equal(ns_look(&one, 1, 1, reads), NS_IO); /* below a folder of ours no link is followed */
	snprintf(other, sizeof other, "%s/none", folder);
	assert_int_equal(ns_look(&one, 1, 0, reads), NS_IO);
	one = folder;
	assert_int_equal(ns_look(&one, 1, 0, reads), NS_IO);
	assert_int_equal(ns_write_file(other, "", 0), NS_OK);
	one = other;
	assert_int_equal(ns_look(&one, 1, 0, reads), NS_BAD_DATA);
}

/* also where no filter keeps libhdf5 from finding a file of that name */
static void image_is_memory(void **state)
{
	struct stat st = {.st_size = 1000};
	size_t bytes;
	char *data;
	hid_t file;

	(void)state;
	assert_int_equal(ns_read_file(path, &data, &bytes), NS_OK);
	assert_int_equal(ns_h5_open_image(&file, path, data, bytes), NS_OK);
	assert_int_equal(reads(file, path, &st), NS_OK);
	ns_h5_file_close(file);
	free(data);
}

/* more files than may be open: each is open while it is read, the others make room */
static void handles_make_room(void **state)
{
	enum { N = 3000 };
	struct ns_handle *h = calloc(N, sizeof *h);
	struct stat st;
	char byte;
	int i, open_now = 0, round;

	(void)state;
	assert_non_null(h);
	assert_int_equal(stat(path, &st), 0);
	for (i = 0; i < N; i++)
		ns_handle_init(&h[i], path, &st, 1, i % 100 == 0);
	for (round = 0; round < 2; round++)
		for (i = 0; i < N; i++) {
			assert_int_equal(ns_handle_acquire(&h[i]), NS_OK);
			if (!h[i].h5)
				assert_int_equal(pread(h[i].fd, &byte, 1, 1), 1);
			ns_handle_release(&h[i]);
		}
	for (i = 0; i < N; i++)
		open_now += h[i].fd >= 0 || h[i].file >= 0;
	assert_in_range(open_now, 1, 1024);
	assert_int_equal(unlink(path), 0);
	write_one(path, 7); /* the same content, and yet another file */
	for (i = 0; h[i].fd >= 0 || h[i].file >= 0; i++)
		;
	assert_int_equal(ns_handle_acquire(&h[i]), NS_DIGEST);
	for (i = 0; i < N; i++)
		ns_handle_close(&h[i]);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(is_shut_in),  cmocka_unit_test(each_is_looked_at), cmocka_unit_test(is_remembered),
					   cmocka_unit_test(other_kinds), cmocka_unit_test(image_is_memory),   cmocka_unit_test(handles_make_room)};

	return cmocka_run_group_tests(tests, setup, teardown) != 0;
}
