#define _GNU_SOURCE
#include "host/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum ns_status ns_path(char path[NS_PATH_MAX], const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(path, NS_PATH_MAX, format, args);
	va_end(args);
	return n >= 0 && n < NS_PATH_MAX ? NS_OK : ns_fail(NS_INVALID, "%.60s...: path is too long", path);
}

int ns_path_exists(const char *path)
{
	struct stat s;

	return lstat(path, &s) == 0;
}

int ns_path_is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int ns_path_is_dir(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static enum ns_status io_error(const char *path, const char *what)
{
	return ns_fail(NS_IO, "%s: %s: %s", path, what, strerror(errno));
}

enum ns_status ns_mkdirs(const char *path)
{
	char part[NS_PATH_MAX];
	char *p;

	NS_TRY(ns_path(part, "%s", path));
	for (p = part + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			if (mkdir(part, 0777) && errno != EEXIST)
				return io_error(part, "cannot make the folder");
			*p = '/';
		}
	if (mkdir(part, 0777) && (errno != EEXIST || !ns_path_is_dir(part)))
		return io_error(part, "cannot make the folder");
	return NS_OK;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

enum ns_status ns_remove_tree(const char *path)
{
	if (!ns_path_exists(path))
		return NS_OK;
	return nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) ? io_error(path, "cannot remove") : NS_OK;
}

enum ns_status ns_rename(const char *from, const char *to)
{
	return rename(from, to) ? io_error(to, "cannot rename to it") : NS_OK;
}

enum ns_status ns_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return io_error(path, "cannot open the folder");
	if (fsync(fd) && errno != EINVAL && errno != EROFS) {
		close(fd);
		return io_error(path, "cannot flush the folder");
	}
	close(fd);
	return NS_OK;
}

enum ns_status ns_sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), bad;

	if (fd < 0)
		return io_error(path, "cannot open");
	bad = fsync(fd);
	close(fd);
	return bad ? io_error(path, "cannot flush") : NS_OK;
}

enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset)
{
	const char *p = data;

	while (bytes) {
		ssize_t n = pwrite(fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error(path, "cannot write");
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return NS_OK;
}

enum ns_status ns_read_at(int fd, const char *path, void *data, size_t bytes, uint64_t offset)
{
	char *p = data;

	while (bytes) {
		ssize_t n = pread(fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error(path, "cannot read");
		if (n == 0)
			return ns_fail(NS_BAD_DATA, "%s: ends at byte %llu, %zu more were expected", path,
				       (unsigned long long)offset, bytes);
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return NS_OK;
}

/* A flushed file under a name that no other process on any node has: PATH.16 random digits.tmp */
static enum ns_status write_beside(const char *path, const void *data, size_t bytes, char beside[NS_PATH_MAX])
{
	uint64_t name;
	enum ns_status status;
	int fd;

	if (getrandom(&name, sizeof name, 0) != sizeof name)
		return io_error(path, "no random name");
	NS_TRY(ns_path(beside, "%s.%016llx.tmp", path, (unsigned long long)name));
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return io_error(path, "cannot write");
	status = ns_write_at(fd, path, data, bytes, 0);
	if (status == NS_OK && fsync(fd))
		status = io_error(path, "cannot flush");
	if (close(fd) && status == NS_OK)
		status = io_error(path, "cannot close");
	if (status != NS_OK)
		unlink(beside);
	return status;
}

enum ns_status ns_sweep_temporary(const char *folder)
{
	DIR *d = opendir(folder);
	char path[NS_PATH_MAX];
	struct dirent *e;

	if (!d)
		return io_error(folder, "cannot open the folder");
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name);

		/* ".0123456789abcdef.tmp" */
		if (n > 21 && !strcmp(e->d_name + n - 4, ".tmp") && e->d_name[n - 21] == '.' &&
		    strspn(e->d_name + n - 20, "0123456789abcdef") == 16 && ns_path(path, "%s/%s", folder, e->d_name) == NS_OK)
			unlink(path);
	}
	closedir(d);
	return NS_OK;
}

enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;
	struct stat st;

	NS_TRY(write_beside(path, data, bytes, beside));
	*won = link(beside, path) == 0;
	status = *won || errno == EEXIST ? NS_OK : io_error(path, "cannot link");
	/* NFS may lose the answer to a link that was made: the link count tells */
	if (!*won && stat(beside, &st) == 0 && st.st_nlink == 2) {
		*won = 1;
		status = NS_OK;
	}
	unlink(beside);
	return status;
}

enum ns_status ns_write_file(const char *path, const void *data, size_t bytes)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(write_beside(path, data, bytes, beside));
	status = ns_rename(beside, path);
	if (status != NS_OK)
		unlink(beside);
	return status;
}

enum ns_status ns_read_file(const char *path, char **data, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe would wait for ever */
	enum ns_status status;
	struct stat s;

	if (fd < 0)
		return io_error(path, "cannot open");
	if (fstat(fd, &s) || !S_ISREG(s.st_mode)) {
		close(fd);
		return ns_fail(NS_IO, "%s: is not a regular file", path);
	}
	*bytes = (size_t)s.st_size;
	*data = malloc(*bytes + 1);
	if (!*data) {
		close(fd);
		return ns_fail(NS_NO_MEMORY, "%s: no memory for its %zu bytes", path, *bytes);
	}
	(*data)[*bytes] = 0;
	status = ns_read_at(fd, path, *data, *bytes, 0);
	close(fd);
	if (status != NS_OK)
		free(*data);
	return status;
}

static void to_hex(char hex[NS_SHA256_HEX], const unsigned char *digest)
{
	int i;

	for (i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void ns_sha256(char hex[NS_SHA256_HEX], const void *data, size_t bytes)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	EVP_Digest(data, bytes, digest, NULL, EVP_sha256(), NULL);
	to_hex(hex, digest);
}

enum ns_status ns_sha256_file(char hex[NS_SHA256_HEX], const char *path)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	FILE *f = fopen(path, "rb");
	char *buffer = malloc(1 << 20);
	size_t n;

	if (!f || !md || !buffer) {
		if (f)
			fclose(f);
		EVP_MD_CTX_free(md);
		free(buffer);
		return io_error(path, "cannot open");
	}
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	while ((n = fread(buffer, 1, 1 << 20, f)) > 0)
		EVP_DigestUpdate(md, buffer, n);
	EVP_DigestFinal_ex(md, digest, NULL);
	EVP_MD_CTX_free(md);
	free(buffer);
	n = (size_t)ferror(f);
	fclose(f);
	to_hex(hex, digest);
	return n ? io_error(path, "cannot read") : NS_OK;
}

uint64_t ns_xxh3(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

json_t *ns_json_string(const char *text)
{
	json_t *json = json_string(text);
	char *plain = json ? NULL : strdup(text), *p;

	for (p = plain; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	if (plain)
		json = json_string(plain);
	free(plain);
	return json;
}

json_t *ns_json_real(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

enum ns_status ns_json_write(const char *path, const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	enum ns_status status;

	if (!text)
		return ns_fail(NS_INTERNAL, "%s: cannot be put as JSON", path);
	status = ns_write_file(path, text, strlen(text));
	free(text);
	return status;
}

enum ns_status ns_json_read(const char *path, json_t **json, const char *schema)
{
	json_error_t error;

	if (!ns_path_exists(path))
		return ns_fail(NS_IO, "%s: no such file", path);
	*json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!*json)
		return ns_fail(NS_BAD_DATA, "%s: line %d: %s", path, error.line, error.text);
	if (schema && strcmp(ns_json_text(*json, "schema"), schema)) {
		ns_fail(NS_BAD_DATA, "%s: schema is '%s', wanted '%s'", path, ns_json_text(*json, "schema"), schema);
		json_decref(*json);
		*json = NULL;
		return NS_BAD_DATA;
	}
	return NS_OK;
}

void ns_json_digest(char hex[NS_SHA256_HEX], const json_t *json)
{
	char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

	ns_sha256(hex, text ? text : "", text ? strlen(text) : 0);
	free(text);
}

const char *ns_json_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

double ns_json_number(const json_t *json, const char *key, double otherwise)
{
	const json_t *value = json_object_get(json, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}
