/* datasets/source/listed.c - what the kinds of lists share: names of columns, items, blanks. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/source/list_inner.h"
#include "host/base/base.h"

const char *const ns_list_paths[] = {"path",	   "file",	 "filename",  "file_name", "filepath", "file_path", "image", "image_path",
				     "image_name", "image_file", "imagefile", "img",	   "img_path", "img_name",  "fname", NULL};
const char *const ns_list_classes[] = {"label",	    "labels",	"class",       "class_name",	"classname", "classid",	    "class_id",
				       "class_idx", "category", "category_id", "category_name", "target",    "target_name", "label_name",
				       "label_idx", "label_id", "species",     "breed",		NULL};

/* Room for one more item's class and annotation. */
static enum ns_status grow(struct ns_files *f)
{
	int64_t capacity = f->capacity ? 2 * f->capacity : 1024;
	char **classes, **annotations;

	if (f->tree.count < f->capacity)
		return NS_OK;
	classes = realloc(f->classes, sizeof *classes * (size_t)capacity);
	f->classes = classes ? classes : f->classes;
	annotations = realloc(f->annotations, sizeof *annotations * (size_t)capacity);
	f->annotations = annotations ? annotations : f->annotations;
	if (!classes || !annotations)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its list of files", f->base);
	f->capacity = capacity;
	return NS_OK;
}

enum ns_status ns_list_add(struct ns_files *f, const char *path, const char *class_name, json_t *annotation)
{
	char *text = json_object_size(annotation) ? json_dumps(annotation, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	enum ns_status status = grow(f);

	json_decref(annotation);
	if (status != NS_OK) {
		free(text);
		return status;
	}
	f->classes[f->tree.count] = strdup(class_name);
	f->annotations[f->tree.count] = text;
	return ns_tree_add(&f->tree, path, f->tree.count, NS_ENTRY_FILE, NULL);
}

int ns_list_has(const struct ns_files *f, const char *path)
{
	char full[NS_PATH_MAX];
	int is = 0, folder = 0;

	return ns_path(full, "%s%s%s", *path == '/' ? "" : f->base, *path == '/' ? "" : "/", path) == NS_OK && ns_exists(full, &is) == NS_OK && is &&
	       ns_is_dir(full, &folder) == NS_OK && !folder;
}

char *ns_list_trim(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	for (n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t');)
		text[--n] = 0;
	return text;
}
