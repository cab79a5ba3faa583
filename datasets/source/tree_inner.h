/*
 * datasets/source/tree_inner.h - the one meaning of a path, for folders and archives (docs/ingest.md): below the split, if there are splits,
 * the first level is the class, and whatever lies deeper belongs to it.
 *
 * A kind adds everything that it sees; ns_tree_plan() decides which entries are items, of which class and split, and which are passed over.
 */
#ifndef NS_SOURCE_TREE_INNER_H
#define NS_SOURCE_TREE_INNER_H

#include "datasets/source/source.h"

enum ns_entry_type { NS_ENTRY_FILE, NS_ENTRY_EMPTY /* a folder without anything */, NS_ENTRY_PASSED };

struct ns_entry {
	char *path;	/* as the input has it, between its folders '/' */
	int64_t number; /* by which the kind finds it again */
	enum ns_entry_type type;
	const char *why; /* passed over */
	int32_t label;	 /* of an item, after the plan */
	char *unknown;	 /* its class, where that is none of the source's */
	char *meant;	 /* its path without folders that hold nothing but images; NULL: `path` */
	int split;	 /* index into the source's splits; -1: none */
};

struct ns_tree {
	struct ns_entry *entries; /* after the plan the items, in their order */
	int64_t count, capacity;
	/* What files say of images; each map may be NULL. */
	json_t *said;	   /* {path without its end: text}: classes, by the .cls files of a webdataset */
	json_t *sidecars;  /* {path without its end: JSON on one line}: of .json files */
	json_t *boxes;	   /* {path without its last end, and "//" + that without the folder of labels: {file: its text, or JSON on one line}} */
	json_t *listed;	   /* {image: [JSON on one line]}: of COCO's files */
	json_t *damaged;   /* {as of boxes: file}: that cannot be read */
	json_t *other;	   /* the same of texts that are none of YOLO's */
	json_t *names;	   /* {folder: {names, keypoints}}: YOLO's categories */
	int64_t annotated; /* bytes of these texts */
	char *joined;	   /* the last annotation that is of several texts */
	struct ns_document {
		char *path, *text;
		size_t bytes;
	} * documents; /* files of COCO's */
	int document_count;
	int boxed;   /* most images come with objects: folders are no classes */
	int archive; /* a folder around everything else is a wrapper, not a class */
	int bare;    /* an archive that was made in the folder, and has none around it */
	int named;   /* there are items whose names are those of images */
};

enum ns_status ns_tree_add(struct ns_tree *tree, const char *path, int64_t number, enum ns_entry_type type, const char *why);
#define NS_CLASS_TEXT	  255	/* bytes of a .cls file; a longer one says nothing */
#define NS_ANNOTATION_MAX 65536 /* of a .json file beside an image, likewise */
/* How many bytes a file may have to say something of images, by its name; 0: it does not. */
size_t ns_tree_words_most(const char *path);
/* What the file that was added last, at `path`, says: at most ns_tree_words_most() bytes, copied. text NULL: it cannot be read. */
enum ns_status ns_tree_words(struct ns_tree *tree, const char *path, const char *text, size_t bytes);
/* Once all files are known: which image each is of. Adds notes. Errors: NS_BAD_DATA: a file of COCO's is damaged. */
enum ns_status ns_tree_gather(struct ns_tree *tree, struct ns_source *source);
/* Has an image a list of objects? *some: with one in it. */
int ns_tree_lists(const struct ns_tree *tree, const char *path, int *some);
/* JSON on one line, with as many digits as its numbers have; the caller frees it. NULL: there is no memory. */
char *ns_tree_line(const json_t *json);
/* Path without "./" and the folders that are called so, in any case. `to` has room for the path. */
void ns_tree_drop_aside(char *to, const char *path, const char *const *folders);
/* images, JPEGImages; labels, annotations: they lie beside each other */
extern const char *const ns_tree_image_folders[], *const ns_tree_word_folders[];
/* Is it in a folder of what is said of images? */
int ns_tree_is_aside(const char *path);
/* The path without its last end; the same without such folders, behind "//", with which no path begins. */
void ns_tree_key(char key[NS_PATH_MAX], const char *path);
void ns_tree_aside_key(char key[NS_PATH_MAX], const char *path, const char *const *folders);
/* Why a path is nobody's image, by the name of a folder or its own: hidden, or what systems leave behind; NULL: it may be one. */
const char *ns_why_not(const char *path);
/* The class, or its index, that a .cls file says of an image; NULL: none does. */
const char *ns_tree_said(const struct ns_tree *tree, const char *path);
/* What files say of an image beside its class, as JSON on one line; NULL: nothing. */
const char *ns_tree_annotation(struct ns_tree *tree, const char *path);
/* Archives often begin their names with "./", which means nothing. */
const char *ns_tree_plain(const char *path);
int ns_is_class_name(const char *path);
/* Were there more annotations than are kept? */
int ns_tree_annotations_cut(const struct ns_tree *tree);
/*
 * Sorts the items to the front, in the order in which they were added, and sets the source's items, classes, splits and what was passed over.
 * Errors: NS_BAD_DATA: a class's name is not UTF-8.
 */
enum ns_status ns_tree_plan(struct ns_tree *tree, struct ns_source *source);
/* An archive lists folders that something lies in, too: those are dropped. */
enum ns_status ns_tree_drop_full(struct ns_tree *tree);
/* Of entries of one name the last counts, as whoever unpacks has it; the others are passed over. */
enum ns_status ns_tree_pass_replaced(struct ns_tree *tree);
/* A name in a zip as UTF-8: it is that already, or of code page 437. */
void ns_zip_name(char *to, size_t most, const char *name);
void ns_tree_release(struct ns_tree *tree);
/* Is this the name of something that systems leave in folders, and nobody's image? */
int ns_is_litter(const char *name);
/* Does its name say that it is something else than an image? */
int ns_is_other_name(const char *path);
/* Is this the name of an image, by its end? */
int ns_is_image_name(const char *name);

#endif
