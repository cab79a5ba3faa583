/* datasets/source/list_inner.h - what the kinds of lists share. */
#ifndef NS_SOURCE_LIST_INNER_H
#define NS_SOURCE_LIST_INNER_H

#include "datasets/source/files_inner.h"

/* what the column of the path, and that of the class, may be called, in any case; NULL ends them */
extern const char *const ns_list_paths[], *const ns_list_classes[];

/* Adds an item; class_name "": unlabelled; annotation: an object, or NULL, which is let go of. */
enum ns_status ns_list_add(struct ns_files *files, const char *path, const char *class_name, json_t *annotation);
/* Is there a file of this name, from where the list lies? */
int ns_list_has(const struct ns_files *files, const char *path);
/* Cuts off blanks on both ends, in place. */
char *ns_list_trim(char *text);
/* Adds what a text of CSV lists, which is used up. Errors: NS_BAD_DATA, with the line. */
enum ns_status ns_csv_read(struct ns_source *source, struct ns_files *files, char *text);

#endif
