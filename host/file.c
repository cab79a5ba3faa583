#define _GNU_SOURCE
#include "host/again.h"
#include "host/file.h"
#include "host/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
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

enum ns_status ns_path_parent(char parent[NS_PATH_MAX], const char *path)
{
	char *slash;

	NS_TRY(ns_path(parent, "%s", path));
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	else
		strcpy(parent, ".");
	return NS_OK;
}

enum ns_status ns_io_error(const char *path, const char *what)
{
	return ns_fail(errno == ENOMEM ? NS_NO_MEMORY : NS_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* *kind: the type bits of its mode, 0 where nothing is there */
static enum ns_status kind_of(const char *path, int (*look)(const char *, struct stat *), mode_t *kind)
{
	struct stat st;

	*kind = 0;
	if (look(path, &st) == 0)
		*kind = st.st_mode & S_IFMT;
	else if (errno != ENOENT && errno != ENOTDIR)
		return ns_io_error(path, "cannot be looked at");
	return NS_OK;
}

enum ns_status ns_exists(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, lstat, &kind));
	*is = kind != 0;
	return NS_OK;
}

enum ns_status ns_is_file(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, stat, &kind));
	*is = kind == S_IFREG;
	return NS_OK;
}

enum ns_status ns_is_dir(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, stat, &kind));
	*is = kind == S_IFDIR;
	return NS_OK;
}

int ns_errno_is_data(int code)
{
	return code == ENOENT || code == ENOTDIR || code == EISDIR || code == EACCES || code == ELOOP || code == ENAMETOOLONG || code == ENXIO ||
	       code == ENODEV;
}

/* NS_BAD_DATA where it cannot be read because of what it is, NS_IO where the disk or the process fails */
static enum ns_status open_regular(int *fd, const char *path, int flags)
{
	struct stat st;

	NS_AGAIN(*fd, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags));
	if (*fd < 0) {
		enum ns_status status = ns_io_error(path, "cannot open");

		return ns_errno_is_data(errno) ? NS_BAD_DATA : status;
	}
	if (fstat(*fd, &st)) {
		enum ns_status status = ns_io_error(path, "cannot be looked at");

		close(*fd);
		return status;
	}
	if (!S_ISREG(st.st_mode)) {
		close(*fd);
		return ns_fail(NS_BAD_DATA, "%s: is %s, and no regular file", path,
			       S_ISDIR(st.st_mode) ? "a folder" : S_ISFIFO(st.st_mode) ? "a named pipe" : S_ISSOCK(st.st_mode) ? "a socket" : "a device");
	}
	return NS_OK;
}

enum ns_status ns_open(int *fd, const char *path, int below)
{
	enum ns_status status = open_regular(fd, path, below ? O_NOFOLLOW : 0);

	return status == NS_BAD_DATA ? NS_IO : status;
}

enum ns_status ns_rename(const char *from, const char *to)
{
	return rename(from, to) ? ns_io_error(to, "cannot rename to it") : NS_OK;
}

enum ns_status ns_remove_file(const char *path)
{
	return unlink(path) && errno != ENOENT ? ns_io_error(path, "cannot remove") : NS_OK;
}

enum ns_status ns_sync_file(const char *path)
{
	enum ns_status status;
	int fd, code;

	NS_TRY(ns_open(&fd, path, 0));
	NS_AGAIN(code, fsync(fd));
	status = code ? ns_io_error(path, "cannot flush") : NS_OK;
	close(fd);
	return status;
}

enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset)
{
	const char *p = data;

	while (bytes) {
		ssize_t n = pwrite(fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ns_io_error(path, "cannot write");
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
			return ns_io_error(path, "cannot read");
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
	int fd, code = 0;

	if (getrandom(&name, sizeof name, 0) != sizeof name)
		return ns_io_error(path, "no random name");
	NS_TRY(ns_path(beside, "%s.%016llx.tmp", path, (unsigned long long)name));
	NS_AGAIN(fd, open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	if (fd < 0)
		return ns_io_error(path, "cannot write");
	status = ns_write_at(fd, path, data, bytes, 0);
	if (status == NS_OK)
		NS_AGAIN(code, fsync(fd));
	if (status == NS_OK && code)
		status = ns_io_error(path, "cannot flush");
	if (close(fd) && status == NS_OK)
		status = ns_io_error(path, "cannot close");
	if (status != NS_OK)
		unlink(beside);
	return status;
}

/* the name is on the disk before anybody is told of it */
static enum ns_status sync_folder_of(const char *path)
{
	char folder[NS_PATH_MAX];

	NS_TRY(ns_path_parent(folder, path));
	return ns_sync_dir(folder);
}

enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;
	struct stat st;

	NS_TRY(write_beside(path, data, bytes, beside));
	*won = link(beside, path) == 0;
	status = *won || errno == EEXIST ? NS_OK : ns_io_error(path, "cannot link");
	/* NFS may lose the answer to a link that was made: the link count tells */
	if (!*won && stat(beside, &st) == 0 && st.st_nlink == 2) {
		*won = 1;
		status = NS_OK;
	}
	unlink(beside);
	return status == NS_OK ? sync_folder_of(path) : status;
}

enum ns_status ns_write_file(const char *path, const void *data, size_t bytes)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(write_beside(path, data, bytes, beside));
	status = ns_rename(beside, path);
	if (status != NS_OK)
		unlink(beside);
	return status == NS_OK ? sync_folder_of(path) : status;
}

static enum ns_status read_whole(int fd, const char *path, char **data, size_t *bytes, int64_t *mtime)
{
	enum ns_status status;
	struct stat st;

	if (fstat(fd, &st))
		return ns_io_error(path, "cannot be looked at");
	*bytes = (size_t)st.st_size;
	*data = malloc(*bytes + 1);
	if (!*data)
		return ns_fail(NS_NO_MEMORY, "%s: no memory for its %zu bytes", path, *bytes);
	(*data)[*bytes] = 0;
	status = ns_read_at(fd, path, *data, *bytes, 0);
	if (mtime)
		*mtime = (int64_t)st.st_mtime;
	if (status != NS_OK) {
		free(*data);
		*data = NULL;
	}
	return status;
}

#define ITEM_MOST ((off_t)1 << 30) /* no image is larger: among the images lies a film */

static enum ns_status check_size(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		return ns_io_error(path, "cannot be looked at");
	return st.st_size <= ITEM_MOST ? NS_OK
				       : ns_fail(NS_BAD_DATA, "%s: has %lld bytes; at most %lld are taken", path, (long long)st.st_size, (long long)ITEM_MOST);
}

enum ns_status ns_read_item(const char *path, char **data, size_t *bytes, int64_t *mtime)
{
	enum ns_status status;
	int fd;

	*data = NULL;
	NS_TRY(open_regular(&fd, path, 0));
	status = check_size(fd, path);
	if (status == NS_OK)
		status = read_whole(fd, path, data, bytes, mtime);
	close(fd);
	return status;
}

enum ns_status ns_read_file(const char *path, char **data, size_t *bytes)
{
	enum ns_status status;
	int fd;

	*data = NULL;
	NS_TRY(ns_open(&fd, path, 0));
	status = read_whole(fd, path, data, bytes, NULL);
	close(fd);
	return status;
}

uint64_t ns_xxh3(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

json_t *ns_json_string(const char *text)
{
	json_t *json = json_string(text);
	char *plain = json ? NULL : malloc(4 * strlen(text) + 1), *to = plain;

	for (; plain && *text; text++)
		if ((unsigned char)*text < 0x80)
			*to++ = *text;
		else
			to += sprintf(to, "\\x%02X", (unsigned char)*text);
	if (plain) {
		*to = 0;
		json = json_string(plain);
	}
	free(plain);
	return json;
}

json_t *ns_json_clean(const json_t *json)
{
	json_t *copy, *value;
	const char *key;
	size_t i;

	if (json_is_string(json))
		return ns_json_string(json_string_value(json));
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach(json, i, value) json_array_append_new(copy, ns_json_clean(value));
		return copy;
	}
	if (!json_is_object(json))
		return json_deep_copy(json);
	copy = json_object();
	json_object_foreach((json_t *)(uintptr_t)json, key, value) json_object_set_new(copy, key, ns_json_clean(value));
	return copy;
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
	size_t bytes;
	char *text;

	*json = NULL;
	NS_TRY(ns_read_file(path, &text, &bytes));
	*json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	free(text);
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
	json_t *clean = ns_json_clean(json);
	char *text = json_dumps(clean, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

	ns_sha256(hex, text ? text : "", text ? strlen(text) : 0);
	free(text);
	json_decref(clean);
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

enum ns_status ns_json_read_if_there(const char *path, json_t **json, const char *schema)
{
	int is;

	*json = NULL;
	NS_TRY(ns_exists(path, &is));
	return is ? ns_json_read(path, json, schema) : NS_OK;
}

/* what was found, for a message */
static void found(const json_t *value, char text[64])
{
	char *dump = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(text, 64, "%.60s", dump ? dump : "missing");
	free(dump);
}

enum ns_status ns_json_int(const json_t *value, const char *name, const char *where, int64_t low, int64_t high, int64_t *out)
{
	char text[64];

	*out = json_integer_value(value);
	if (json_is_integer(value) && *out >= low && *out <= high)
		return NS_OK;
	found(value, text);
	return ns_fail(NS_BAD_DATA, "%s: %s is %s, a whole number from %lld to %lld is wanted", where, name, text, (long long)low, (long long)high);
}

enum ns_status ns_json_finite(const json_t *value, const char *name, const char *where, double *out)
{
	char text[64];

	*out = json_number_value(value);
	if (json_is_number(value) && isfinite(*out))
		return NS_OK;
	found(value, text);
	return ns_fail(NS_BAD_DATA, "%s: %s is %s, a number is wanted", where, name, text);
}

enum ns_status ns_json_get_int(const json_t *json, const char *key, const char *where, int64_t low, int64_t high, int64_t *out)
{
	return ns_json_int(json_object_get(json, key), key, where, low, high, out);
}

enum ns_status ns_json_get_real(const json_t *json, const char *key, const char *where, double *out)
{
	return ns_json_finite(json_object_get(json, key), key, where, out);
}
