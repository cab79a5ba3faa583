/*
 * host/base/digest.c - SHA-256 of memory and of files. A file's is cached while this process lives: a night reads the same
 * shards in many steps, and a file whose device, inode, size and times are the same is the same file. A file that changed in the
 * last few seconds is not cached: another write within one tick of the file system's clock would not change its times.
 */
#define _GNU_SOURCE
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/base_inner.h"

#define PIECE	((size_t)1 << 20)
#define SLOTS	(1 << 14) /* of the cache: 16,384 files, 2 MiB; a newer one replaces an older one */
#define SETTLED 2	  /* seconds since its last change after which a file is cached */

struct known {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	unsigned char digest[32];
	int used;
};

/* the one cache of this process: what it holds follows from the files alone */
static struct known *cache;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void to_hex(char hex[NS_SHA256_HEX], const unsigned char *digest)
{
	int i;

	for (i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int ns_is_sha256(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

void ns_sha256(char hex[NS_SHA256_HEX], const void *data, size_t bytes)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL);
	to_hex(hex, digest);
}

enum ns_status ns_sha256_concat(unsigned char digest[32], const void *data, size_t bytes, const void *tail, size_t tail_bytes)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, data, bytes) && EVP_DigestUpdate(md, tail, tail_bytes) &&
		 EVP_DigestFinal_ex(md, digest, NULL);

	EVP_MD_CTX_free(md);
	return ok ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a digest of %zu bytes", bytes + tail_bytes);
}

enum ns_status ns_sha256_many(const struct ns_sha256_message *messages, int n)
{
	const struct ns_sha256_message *m;

	if (ns_sha256_is_built_in()) {
		ns_sha256_lanes(messages, n);
		return NS_OK;
	}
	for (m = messages; m < messages + n; m++)
		NS_TRY(ns_sha256_concat(m->digest, m->data, m->bytes, m->tail, m->tail_bytes));
	return NS_OK;
}

static int same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct known *slot_of(const struct stat *st)
{
	uint64_t key[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};

	if (!cache)
		cache = calloc(SLOTS, sizeof *cache);
	return cache ? &cache[ns_xxh3(key, sizeof key) % SLOTS] : NULL;
}

static int recall(const struct stat *st, unsigned char digest[32])
{
	const struct known *k;
	int found;

	pthread_mutex_lock(&lock);
	k = slot_of(st);
	found = k && k->used && k->dev == st->st_dev && k->ino == st->st_ino && k->size == st->st_size && same_time(k->mtime, st->st_mtim) &&
		same_time(k->ctime, st->st_ctim);
	if (found)
		memcpy(digest, k->digest, 32);
	pthread_mutex_unlock(&lock);
	return found;
}

static void remember(const struct stat *st, const unsigned char digest[32])
{
	struct known *k;

	/* a time far in the future is of a server whose clock is ahead, and tells no age */
	if (time(NULL) - st->st_ctim.tv_sec < SETTLED && st->st_ctim.tv_sec - time(NULL) <= SETTLED)
		return;
	pthread_mutex_lock(&lock);
	k = slot_of(st);
	if (k) {
		*k = (struct known){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim, {0}, 1};
		memcpy(k->digest, digest, 32);
	}
	pthread_mutex_unlock(&lock);
}

static enum ns_status compute(int fd, const char *path, off_t size, unsigned char digest[EVP_MAX_MD_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char *buffer = malloc(PIECE);
	enum ns_status status =
		md && buffer && EVP_DigestInit_ex(md, EVP_sha256(), NULL) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its digest", path);
	off_t at;

	for (at = 0; status == NS_OK && at < size; at += (off_t)PIECE) {
		size_t n = size - at < (off_t)PIECE ? (size_t)(size - at) : PIECE;

		status = ns_read_at(fd, path, buffer, n, (uint64_t)at);
		if (status == NS_OK)
			EVP_DigestUpdate(md, buffer, n);
	}
	if (status == NS_OK)
		EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	free(buffer);
	return status == NS_BAD_DATA ? ns_fail(NS_DIGEST, "%s: was cut short while it was read", path) : status;
}

/* Has the file these bytes, read once more? */
static int is_still(int fd, const char *path, off_t size, const unsigned char digest[32])
{
	unsigned char again[EVP_MAX_MD_SIZE];

	return compute(fd, path, size, again) == NS_OK && !memcmp(again, digest, 32);
}

static enum ns_status digest_of_open(char hex[NS_SHA256_HEX], int fd, const char *path)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct stat before, after;

	if (fstat(fd, &before))
		return ns_io_error(path, "cannot stat");
	if (!recall(&before, digest)) {
		NS_TRY(compute(fd, path, before.st_size, digest));
		if (fstat(fd, &after))
			return ns_io_error(path, "cannot stat");
		/* another hard link to it changes its ctime, but not its bytes; a registry gives an object that is in use a new time */
		if (after.st_size != before.st_size || (!same_time(after.st_mtim, before.st_mtim) && !is_still(fd, path, before.st_size, digest)))
			return ns_fail(NS_DIGEST, "%s: was changed while it was read", path);
		remember(&after, digest);
	}
	to_hex(hex, digest);
	return NS_OK;
}

enum ns_status ns_sha256_file(char hex[NS_SHA256_HEX], const char *path)
{
	enum ns_status status;
	int fd;

	NS_TRY(ns_open(&fd, path, 0));
	status = digest_of_open(hex, fd, path);
	close(fd);
	return status;
}

enum ns_status ns_sha256_check(const char *path, const char *wanted, const char *where)
{
	char hex[NS_SHA256_HEX];

	if (!ns_is_sha256(wanted))
		return ns_fail(NS_BAD_DATA, "%s: the digest of %s is '%.70s', expected 64 hexadecimal digits", where, path, wanted);
	NS_TRY(ns_sha256_file(hex, path));
	return strcmp(hex, wanted) ? ns_fail(NS_DIGEST, "%s: its SHA-256 is %.16s.., but %s says %.16s..; it was changed", path, hex, where, wanted)
				   : NS_OK;
}
