/*
 * datasets/source/source.h - where images come from: an IDX pair, a folder of class folders, a list of files, an archive,
 * arrays of NumPy or HDF5.
 *
 * A source is a numbered list of items whose order depends on nothing but the input. Adding a kind: one row in
 * the table in source.c and one file.
 */
#ifndef NS_SOURCE_H
#define NS_SOURCE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/base.h"
#include "kernels/status.h"

struct ns_item {	     /* one image as it arrives; memory belongs to the source until the next call */
	const uint8_t *data; /* pixels where h > 0, else an encoded file */
	size_t bytes;
	size_t left; /* bytes of the file behind them, where the source's `most` left them out */
	void *given; /* data again, where the source `gives`: the caller frees it. Not every source has memory of its own to give */
	int h, w, c;
	int32_t label; /* -1: unlabelled; NS_LABEL_UNKNOWN: class not in the list */
	int64_t time;
	char name[4096];
	char class_name[128];	/* for messages: its beginning */
	const char *annotation; /* JSON: what the container says of it beside its class; NULL: nothing */
};
#define NS_LABEL_UNKNOWN (-2)

struct ns_source {
	const struct ns_source_kind *kind;
	char *path;
	char **classes;
	int class_count;
	int64_t unknown;	    /* items of classes that are none of its own */
	int numbers;		    /* classes were found, and stand in the order of the numbers that they are */
	char **splits;		    /* train, test and the like, as the input has them */
	int split_count, *split_of; /* split_of: of each item, an index into splits; NULL without splits */
	int64_t items;
	int64_t *kept;	/* the numbers that its kind has for its items, where some were taken before; NULL: the same */
	json_t *notes;	/* texts: what a person should know of how the source was understood */
	json_t *passed; /* [{path, reason}]: what was seen and is neither an item nor a class's folder */
	size_t most;	/* of a file no more than so many bytes need be read, which are those of its header; 0: all */
	int gives;	/* data may become the caller's: see ns_item.given */
	void *state;
};

struct ns_source_kind {
	const char *name;
	enum ns_status (*takes)(const char *path, int *takes);
	enum ns_status (*open)(struct ns_source *source);
	/* NS_BAD_DATA: this item is broken, its name is filled in, and the job goes on; any other failure ends the job */
	enum ns_status (*get)(struct ns_source *source, int64_t item, struct ns_item *out);
	void (*close)(struct ns_source *source);
	/* NULL, or lets go of what is open, until the next get */
	void (*rest)(struct ns_source *source);
	int pixels; /* its items are pixels, and were no files of their own */
	/* NULL, or of an item that is a file of its own: its name and label, and where it lies */
	enum ns_status (*place)(struct ns_source *source, int64_t item, struct ns_item *out, char path[NS_PATH_MAX]);
};

/*
 * What was taken before (--follow): a list of files, by path, bytes and time of change. Where a source's items are files of their own, those are
 * listed, else the source, such as an archive. docs/formats.md, nightshift.follow/1.
 */
struct ns_follow;
/* A file that is not there is an empty list. NS_CONFIG: it is of other sources. Also on failure *follow is to be closed. */
enum ns_status ns_follow_open(struct ns_follow **follow, const char *file, char *const *sources, int n);
void ns_follow_close(struct ns_follow *follow);
/* The names of classes in the list, an array, or NULL. */
const json_t *ns_follow_classes(const struct ns_follow *follow);
/* How many were there, and have been passed over. */
int64_t ns_follow_passed(const struct ns_follow *follow);
/*
 * One process: writes the list with what is new, which counts once `file` is in the folder `out` with the bytes that it has now in `dir`. Errors: NS_BAD_DATA: somebody else
 * has changed the list.
 */
enum ns_status ns_follow_begin(struct ns_follow *follow, const char *dir, const char *out, const char *file, char *const *classes, int n);
/* After `out` is published. */
enum ns_status ns_follow_end(struct ns_follow *follow);

/* classes: the names in order (a JSON array), or NULL: as found, sorted */
enum ns_status ns_source_open(struct ns_source *source, const char *path, const json_t *classes);
/*
 * Several sources as one, with the classes and splits of all, items in the order of `paths`; and a folder of archives, such as the shards of a
 * webdataset, as all of them. One path is that source. follow: NULL, or what was taken before, which is left out; then there
 * may be no items. Errors: NS_BAD_DATA: some have splits, or pixels, and others not.
 */
enum ns_status ns_source_open_all(struct ns_source *source, char *const *paths, int n, const json_t *classes, struct ns_follow *follow);
/* Of what it holds: names and labels of items that are files of their own, else how many there are; the same in every process that has seen the same. */
uint64_t ns_source_digest(struct ns_source *source);
void ns_source_close(struct ns_source *source);
enum ns_status ns_source_get(struct ns_source *source, int64_t item, struct ns_item *out);

/* for the kinds */
/* An item by its number among those that were kept, of any kind. */
enum ns_status ns_source_fetch(struct ns_source *source, int64_t item, struct ns_item *out);
/* What is at a path; NULL: none of the kinds takes it. */
enum ns_status ns_source_kind_of(const char *path, const struct ns_source_kind **kind);
/* Is a file new? It is then added to what the list will hold, if `keep`. One that cannot be found is taken, and not added. */
enum ns_status ns_follow_takes(struct ns_follow *follow, const char *name, const char *path, int keep, int *takes);
/* Leaves out what was taken before, of files of their own each by itself; front: of their names. */
enum ns_status ns_source_leave_out(struct ns_source *source, const char *front, struct ns_follow *follow);
/* Is a source that is taken as a whole, such as an archive, new? Those of files are looked at file by file. */
enum ns_status ns_source_is_new(const char *path, const char *name, struct ns_follow *follow, int *is);
/* Adds a source that is taken as a whole; one with items of classes that nobody has named yet waits until they are. */
enum ns_status ns_source_add_whole(const struct ns_source *source, const char *path, const char *name, struct ns_follow *follow);
/* The path and the names of classes that were given; ns_source_close() releases it whatever is returned. */
enum ns_status ns_source_begin(struct ns_source *source, const char *path, const json_t *classes);
/*
 * Finds the classes, unless names were given, and the labels of n class names: -1 of "", NS_LABEL_UNKNOWN of a name that is no class. said: names
 * are what files say, not folders: where all are whole numbers, they are classes in the order of numbers, and -1 is none.
 */
enum ns_status ns_source_labels(struct ns_source *source, const char *const *names, int64_t n, int said, int32_t *labels);
/* The label that a text is as a number, an index into names that were given; or NS_LABEL_UNKNOWN. */
int32_t ns_source_index(const struct ns_source *source, const char *text);
/* Adds to what is passed over. */
enum ns_status ns_source_pass_over(struct ns_source *source, const char *path, const char *why);
/* Is it a file whose name is that of an archive? */
enum ns_status ns_is_archive(const char *path, int *is);
/* The index of a split, a name of so many bytes, which is added where it is new; -1: there is no memory. */
int ns_source_split(struct ns_source *source, const char *name, size_t bytes);
/* Adds a note. */
enum ns_status ns_source_note(struct ns_source *source, const char *text);
/* sorted class names found in the input, unless names were given; numbers: in the order of the numbers that they are, and -1 is none */
enum ns_status ns_source_found_classes(struct ns_source *source, const char *const *names, int64_t n, int numbers);

/* NS_CONFIG where a class that was given stands twice. */
enum ns_status ns_source_check_given(const struct ns_source *source);

extern const struct ns_source_kind ns_source_idx, ns_source_folder, ns_source_list, ns_source_tar, ns_source_npy, ns_source_npz, ns_source_hdf5,
	ns_source_foreign;

#endif
