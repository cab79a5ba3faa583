/* datasets/source/keys.c - names of files as keys under which is kept what files say of images. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define ANNOTATIONS_MAX ((int64_t)1 << 30) /* bytes of all of them, which are held in memory; beyond, they are left out, and that is told */

int ns_tree_annotations_cut(const struct ns_tree *tree)
{
	return tree->annotated > ANNOTATIONS_MAX;
}

void ns_tree_drop_aside(char *to, const char *path, const char *const *folders)
{
	size_t n, i;

	for (path = ns_tree_plain(path); *path; path += n) {
		n = strcspn(path, "/");
		for (i = 0; folders[i] && (n != strlen(folders[i]) || strncasecmp(path, folders[i], n) != 0);)
			i++;
		if (path[n] && folders[i]) {
			n++;
			continue;
		}
		n += path[n] == '/';
		memcpy(to, path, n);
		to += n;
	}
	*to = 0;
}

const char *const ns_tree_image_folders[] = {"images", "JPEGImages", NULL};
const char *const ns_tree_word_folders[] = {"labels", "annotations", NULL};

/* Is a folder above it one of those that hold nothing but what is said of images? */
int ns_tree_is_aside(const char *path)
{
	char dropped[NS_PATH_MAX];

	ns_tree_drop_aside(dropped, path, ns_tree_word_folders);
	return strcmp(dropped, ns_tree_plain(path)) != 0;
}

/* The path without its last end. */
void ns_tree_key(char key[NS_PATH_MAX], const char *path)
{
	char *base, *dot;

	snprintf(key, NS_PATH_MAX, "%s", ns_tree_plain(path));
	base = strrchr(key, '/');
	dot = strrchr(base ? base + 1 : key, '.');
	if (dot)
		*dot = 0;
}

/* The same without the folders of one kind, behind what no path begins with. */
void ns_tree_aside_key(char key[NS_PATH_MAX], const char *path, const char *const *folders)
{
	char dropped[NS_PATH_MAX], plain[NS_PATH_MAX];

	ns_tree_drop_aside(dropped, path, folders);
	ns_tree_key(plain, dropped);
	snprintf(key, NS_PATH_MAX, "//%.*s", NS_PATH_MAX - 3, plain);
}

const char *ns_tree_plain(const char *path)
{
	while (!strncmp(path, "./", 2))
		path += 2;
	return path;
}
