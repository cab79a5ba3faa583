/*
 * host/base/base.h - what every job stands on: files and folders, digests, JSON, names, the configuration, the log.
 */
#ifndef NS_BASE_H
#define NS_BASE_H

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels/status.h"

/* Repeats a system call that a signal interrupted, which is not an error. */
#define NS_AGAIN(result, call)                                                                                                                       \
	do {                                                                                                                                         \
		(result) = (call);                                                                                                                   \
	} while ((result) < 0 && errno == EINTR)

/*
 * --- file: files that appear whole or not at all, folders, digests, JSON.
 */

#define NS_PATH_MAX   4096
#define NS_SHA256_HEX 65 /* 64 digits and the end */

/* path = "a/b"; NS_INVALID where it does not fit NS_PATH_MAX */
enum ns_status ns_path(char path[NS_PATH_MAX], const char *format, ...) NS_PRINTF(2, 3);

/* The folder that holds `path`: "." for a plain name. */
enum ns_status ns_path_parent(char parent[NS_PATH_MAX], const char *path);

/*
 * What is at a path. A missing file is an answer (ENOENT, ENOTDIR); any other error is NS_IO, and never taken for a missing file.
 * ns_exists() is true for a dangling symbolic link, too; the other two follow links.
 */
enum ns_status ns_exists(const char *path, int *is);
enum ns_status ns_is_dir(const char *path, int *is);
enum ns_status ns_is_file(const char *path, int *is);

/*
 * Whether this errno is a property of the file (missing, a folder, no permission to read it), so that another try gives the same; any
 * other is a fault of the disk or the process, and the file may be good.
 */
int ns_errno_is_data(int code);
/* "PATH: WHAT: strerror(errno)"; NS_IO, or NS_NO_MEMORY for ENOMEM. */
enum ns_status ns_io_error(const char *path, const char *what);

/*
 * Opens for reading every file that this program did not just write itself: a regular file, and without blocking (a named pipe or a
 * device would hang). Every failure is NS_IO. below: a symbolic link as the last part of the path is refused, for names inside a folder
 * that this program has made.
 */
enum ns_status ns_open(int *fd, const char *path, int below);

enum ns_status ns_rename(const char *from, const char *to);
/* Unlink; a file that is not there is fine. */
enum ns_status ns_remove_file(const char *path);
/* Flushes to disk a file that another library wrote: on Lustre and local disks closing it does not. */
enum ns_status ns_sync_file(const char *path);

/* Writes a temporary file beside it, flushes, renames, flushes the folder: readers see the old file or the new one, also after a power cut. */
enum ns_status ns_write_file(const char *path, const void *data, size_t bytes);
/* The same, but never replaces a file: *won says whether this file is now at `path`, or one that was there before. */
enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won);
/* A file as a string with a 0 after its end; the caller frees. Every failure to read it is NS_IO. */
enum ns_status ns_read_file(const char *path, char **data, size_t *bytes);
/*
 * The same of one input among many, or of a longer one its first `most` bytes, *left being how many stand behind them: NS_BAD_DATA where it is this
 * file's own fault, see ns_errno_is_data(). left and mtime may be NULL.
 */
enum ns_status ns_read_item(const char *path, size_t most, char **data, size_t *bytes, size_t *left, int64_t *mtime);
enum ns_status ns_read_at(int fd, const char *path, void *data, size_t bytes, uint64_t offset);
enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset);

void ns_sha256(char hex[NS_SHA256_HEX], const void *data, size_t bytes);
/* The 32 bytes of the digest of `data` followed by `tail`, without a copy of either. NS_NO_MEMORY. */
enum ns_status ns_sha256_concat(unsigned char digest[32], const void *data, size_t bytes, const void *tail, size_t tail_bytes);
#define NS_SHA256_TAIL 64
struct ns_sha256_message { /* data followed by tail */
	const void *data, *tail;
	size_t bytes, tail_bytes; /* tail_bytes: at most NS_SHA256_TAIL */
	unsigned char *digest;	  /* its 32 bytes are written here */
};
/*
 * The digests of n messages of any lengths, in the order in which they stand: two at a time where the processor has instructions for it, which is
 * nearly twice as fast as one after the other if neighbours are about as long. NS_NO_MEMORY.
 */
enum ns_status ns_sha256_many(const struct ns_sha256_message *messages, int n);
/*
 * The digest of a file, computed once per process: it is cached by device, inode, size and times of change, so that asking again costs
 * an fstat(). NS_IO where it cannot be read.
 */
enum ns_status ns_sha256_file(char hex[NS_SHA256_HEX], const char *path);
/* 64 lower-case hexadecimal digits? */
int ns_is_sha256(const char *text);
/* NS_DIGEST unless the file's digest is `wanted`, which the file `where` states; NS_BAD_DATA where `wanted` is not a digest. */
enum ns_status ns_sha256_check(const char *path, const char *wanted, const char *where);
uint64_t ns_xxh3(const void *data, size_t bytes);

/* json_object_foreach() over what is only read: jansson has no const form of it. */
#define NS_JSON_EACH(object, key, value) json_object_foreach((json_t *)(uintptr_t)(object), key, value)
/* Paths and other texts from outside need not be UTF-8: of one that is not, each byte above 127 becomes \\xE9 and the like, so that none is lost. */
json_t *ns_json_string(const char *text);
/* A copy in which every string that is not UTF-8 is escaped so: a configuration holds paths as the user gave them. */
json_t *ns_json_clean(const json_t *json);
/* Numbers that JSON cannot hold (NaN, infinities) become null. */
json_t *ns_json_real(double x);
/* An object of NAME, VALUE pairs, which it takes; NULL, and all are given back, where one is NULL: NS_JSON_OBJECT({"a", one}, {"b", two}). */
struct ns_json_pair {
	const char *name;
	json_t *value;
};
#define NS_JSON_OBJECT(...) ns_json_object((const struct ns_json_pair[]){__VA_ARGS__, {NULL, NULL}})
json_t *ns_json_object(const struct ns_json_pair *pairs);
/* A member of a struct that is written as JSON; the macro's types are checked. A flag is an int that is written as true or false. */
struct ns_json_field {
	const char *name;
	char type; /* i: int, l: 64 bits, r: double, s: text or NULL, a: array of char, b: flag */
	size_t offset;
};
#define NS_JSON_FIELD(s, member, name)                                                                                                               \
	{                                                                                                                                            \
		name, _Generic(((s *)0)->member, int : 'i', int64_t : 'l', double : 'r', const char * : 's', char * : 'a'), offsetof(s, member)      \
	}
#define NS_JSON_FLAG(s, member, name)                                                                                                                \
	{                                                                                                                                            \
		name, _Generic(((s *)0)->member, int : 'b'), offsetof(s, member)                                                                     \
	}
/* Adds n fields of what `of` points to to an object, and returns it. NULL, and it is given back: out of memory, or a text is not UTF-8. */
json_t *ns_json_fields(json_t *json, const struct ns_json_field *fields, size_t n, const void *of);
enum ns_status ns_json_write(const char *path, const json_t *json); /* indented, keys in order of insertion */
enum ns_status ns_json_read(const char *path, json_t **json, const char *schema);
/* The same, but *json is NULL where nothing is there. */
enum ns_status ns_json_read_if_there(const char *path, json_t **json, const char *schema);
/* The canonical text: keys sorted, no white space; NULL: out of memory. The caller frees it. */
char *ns_json_canonical(const json_t *json);
/* SHA-256 of that. */
void ns_json_digest(char hex[NS_SHA256_HEX], const json_t *json);
/* The string under `key`, or "" */
const char *ns_json_text(const json_t *json, const char *key);
/* The number under `key`, or `otherwise` */
double ns_json_number(const json_t *json, const char *key, double otherwise);
/*
 * Required members: a whole number from low to high (2^32 + 4 is not taken for 4, nor is 4.5 or "4"); a finite number. NS_BAD_DATA
 * names `where`, the key, what was found and what was expected.
 */
enum ns_status ns_json_get_int(const json_t *json, const char *key, const char *where, int64_t low, int64_t high, int64_t *out);
enum ns_status ns_json_get_real(const json_t *json, const char *key, const char *where, double *out);
/* the same for a value itself, `name`d for messages */
enum ns_status ns_json_int(const json_t *value, const char *name, const char *where, int64_t low, int64_t high, int64_t *out);
enum ns_status ns_json_finite(const json_t *value, const char *name, const char *where, double *out);

/*
 * --- folder: folders are listed whole or not at all, made and flushed so that they survive a power cut, and removed.
 */

struct ns_names { /* sorted by their bytes */
	char **name;
	size_t count;
};

/*
 * All names in a folder but "." and "..". A folder that cannot be read to its end is NS_IO, never a shorter list.
 * ns_list_if_there: a folder that is not there holds nothing.
 */
enum ns_status ns_list(const char *folder, struct ns_names *names);
enum ns_status ns_list_if_there(const char *folder, struct ns_names *names);
void ns_names_release(struct ns_names *names);

/* Make a folder and those above it; for each new one its parent is flushed, so that it survives a power cut. */
enum ns_status ns_mkdirs(const char *path);
enum ns_status ns_remove_tree(const char *path); /* a missing one is fine */
/* Flush the names in this folder to disk. */
enum ns_status ns_sync_dir(const char *path);
/* Make this name last in the folder that holds it. */
enum ns_status ns_sync_parent(const char *path);
/*
 * Flush the names in this folder and in all below it, innermost first. The bytes of files were flushed by their writers: ns_write_file()
 * and ns_h5_close() do so, and nothing else writes (tests/jobs/durable.sh drops what was not flushed).
 */
enum ns_status ns_sync_tree(const char *path);
/* Remove the temporary files that killed writers left in a folder to which nobody writes now. */
enum ns_status ns_sweep_temporary(const char *folder);
/* Is it NAME.0123456789abcdef.tmp, the name under which ns_write_file() writes? */
int ns_is_temporary(const char *name);

/*
 * --- name: names that a person chooses and that become folders, files, Slurm jobs, columns of a plan: nights, data sets of a
 * split, refs. Their alphabet has no character that is special in a shell, in Slurm, in a table or in JSON.
 */

#define NS_NAME_MAX 64

/* 1 to 64 of A-Z a-z 0-9 - _ . in ASCII, whatever the locale; the first is neither - (an option) nor . (hidden, or a way up). */
int ns_is_name(const char *text);
/* NS_CONFIG unless it is a valid name; `key` is where it was read, for the message. */
enum ns_status ns_check_name(const char *key, const char *text);
/* Does a text end so, with something before it? */
int ns_ends_in(const char *text, const char *end);
/* The same in upper case or lower, as ends of files' names are written. */
int ns_ends_like(const char *text, const char *end);

/* --- vocabulary: words as numbers from 0 on, in the order in which they come. Zeroed it is empty. */

struct ns_vocabulary {
	char **words;
	int count, capacity;
	json_t *places;
};

void ns_vocabulary_release(struct ns_vocabulary *v);
/* The number of a word, which is added where it is new. */
enum ns_status ns_vocabulary_add(struct ns_vocabulary *v, const char *word, int32_t *index);
/* Adds n words; values of `of` (rows) that are numbers of theirs become those of the vocabulary. */
enum ns_status ns_vocabulary_map(struct ns_vocabulary *v, char *const *words, int n, int32_t *of, int64_t rows);

/*
 * --- conf: configuration: one table of keys says what may be written in YAML and on the command line, what
 * it is by default, and what --help prints.
 *
 * Later wins: table, then --config FILE, then --section.key=value. Unknown keys are errors with a hint.
 */

enum ns_key_type { NS_KEY_INT, NS_KEY_REAL, NS_KEY_BOOL, NS_KEY_TEXT, NS_KEY_NODE /* any YAML */ };

struct ns_key {
	const char *name; /* "train.epochs" */
	const char *flag; /* "model" for --model; NULL: --train.epochs alone */
	enum ns_key_type type;
	const char *otherwise; /* default, as YAML; "null": none */
	unsigned verbs;	       /* bit v: verb v reads it */
	const char *help;      /* NULL: retired, it is accepted and does nothing */
	double low, high;      /* of numbers; both 0: any */
};

struct ns_conf {
	const struct ns_key *keys; /* ends with a NULL name */
	json_t *values;		   /* flat: name -> value, null where unset */
	json_t *given;		   /* names set by file or command line */
};

enum ns_status ns_conf_init(struct ns_conf *conf, const struct ns_key *keys);
void ns_conf_release(struct ns_conf *conf);
/* A copy that shares nothing. */
enum ns_status ns_conf_copy(struct ns_conf *to, const struct ns_conf *from);
/* A file with keys of one section only; what was given before stays. */
enum ns_status ns_conf_file_under(struct ns_conf *conf, const char *path, const char *section);
enum ns_status ns_conf_file(struct ns_conf *conf, const char *path);
/* Nested or flat values, as from YAML; `where` names them in messages. */
enum ns_status ns_conf_merge(struct ns_conf *conf, const json_t *tree, const char *where);
/* One "name" or flag with the text of its value; verb >= 0: it must be one that this verb reads. */
enum ns_status ns_conf_set(struct ns_conf *conf, const char *name, const char *text, int verb);
/* The key behind a name or flag; NULL if there is none. */
const struct ns_key *ns_conf_key(const struct ns_conf *conf, const char *name, int verb);
/* YAML text to JSON: maps, lists, numbers, true/false, null, strings. The caller drops *json. */
enum ns_status ns_yaml_parse(json_t **json, const char *text, size_t bytes, const char *where);
enum ns_status ns_yaml_read(json_t **json, const char *path);

int64_t ns_conf_int(const struct ns_conf *conf, const char *name);
double ns_conf_real(const struct ns_conf *conf, const char *name);
int ns_conf_bool(const struct ns_conf *conf, const char *name);
const char *ns_conf_text(const struct ns_conf *conf, const char *name);	  /* NULL where null */
const json_t *ns_conf_node(const struct ns_conf *conf, const char *name); /* NULL where null */
/* Settings read once: NS_CONF_FIELD(struct s, member, "key") says which member holds which key; its type must be one of these. */
struct ns_conf_field {
	const char *key;
	char type; /* of the member: i: int, l: 64 bits, r: double, s: text or NULL, n: JSON or NULL */
	size_t offset;
};
#define NS_CONF_FIELD(s, member, key)                                                                                                                            \
	{                                                                                                                                                        \
		key, _Generic(((s *)0)->member, int: 'i', int64_t: 'l', uint64_t: 'l', double: 'r', const char *: 's', const json_t *: 'n'), offsetof(s, member) \
	}
/* Fills the members of n fields in `settings`; what is text or JSON stays conf's. */
void ns_conf_read(const struct ns_conf *conf, const struct ns_conf_field *fields, size_t n, void *settings);
int ns_conf_given(const struct ns_conf *conf, const char *name);
/*
 * The values that differ from their key's default, except the keys `without` (NULL at its end). A run that one version began is continued by the
 * next, which knows more keys; so a default is never changed, a new key is made instead. The caller drops it; NULL: out of memory.
 */
json_t *ns_conf_nondefault(const struct ns_conf *conf, const char *const *without);
/* Set one by program, as a job does for the jobs it calls. */
void ns_conf_put(struct ns_conf *conf, const char *name, json_t *value);
void ns_conf_put_text(struct ns_conf *conf, const char *name, const char *text);
/* Which of `words` (NULL at the end) it is; -1: none. */
int ns_word_find(const char *const *words, const char *word);
/* The word of `words` (NULL at the end) nearest to `word`, NULL if none is near. */
const char *ns_nearest(const char *word, const char *const *words);

/*
 * --- log: what a job prints while it works: readable lines and a progress bar on a terminal, one JSON line
 * an event elsewhere. Only rank 0 prints; an error is printed by the rank that has it.
 */

struct ns_log {
	int speak;	      /* rank 0 */
	int bars;	      /* a terminal is there */
	int json;	      /* --json: JSON lines even on a terminal */
	double start;	      /* of the process */
	const char *bar_what; /* what the bar counts; NULL: none yet */
	double bar_start, bar_last;
	int64_t bar_from, bar_done;
	int bar_open; /* its line has not ended */
};

double ns_now(void); /* seconds, monotonic */
/* seconds since 1970, or SOURCE_DATE_EPOCH (reproducible-builds.org), with which the same night gives the same bytes another day */
int64_t ns_today(void);
#define NS_WHO 128
/* Who runs this, by the system's user id and not by the environment: "name", or "uid 1000" where the system has no name for it. Returns `who`. */
const char *ns_who(char who[NS_WHO]);

void ns_log_init(struct ns_log *log, int rank, int json);
/* An event with facts: a JSON object that this takes over, or NULL. */
void ns_log_event(struct ns_log *log, const char *event, json_t *facts);
/* `done` of `total` of something; seldom enough printed that it may be called often. `what` outlives the bar. */
void ns_log_progress(struct ns_log *log, const char *what, int64_t done, int64_t total, const char *unit);
void ns_log_warn(struct ns_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
