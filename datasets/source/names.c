/* datasets/source/names.c - what the name of a file says of it. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/tree_inner.h"

int ns_is_litter(const char *name)
{
	static const char *const litter[] = {
		"__MACOSX", "@eaDir", "lost+found", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"};
	size_t i;

	for (i = 0; i < sizeof litter / sizeof *litter; i++)
		if (!strcasecmp(name, litter[i]))
			return 1;
	return 0;
}

/* Its name says that it is something else. Names that say nothing are opened: what is in a file decides. */
int ns_is_other_name(const char *path)
{
	static const char *const ends[] = {
		".txt", ".csv",	 ".tsv",     ".json", ".jsonl",	   ".xml",	  ".yaml",  ".yml",  ".md",  ".rst",   ".html", ".htm",
		".pdf", ".db",	 ".sqlite",  ".ini",  ".cfg",	   ".py",	  ".ipynb", ".sh",   ".log", ".cls",   ".mat",	".npy",
		".npz", ".h5",	 ".hdf5",    ".pkl",  ".pt",	   ".pth",	  ".onnx",  ".zip",  ".tar", ".gz",    ".bz2",	".xz",
		".zst", ".7z",	 ".rar",     ".mp4",  ".avi",	   ".mov",	  ".mkv",   ".webm", ".wav", ".mp3",   ".doc",	".docx",
		".xls", ".xlsx", ".parquet", ".lmdb", ".tfrecord", ".caffemodel", ".lock",  ".toml", ".cff", ".md5",   ".sha1", ".sha256",
		".tex", ".bib",	 ".r",	     ".m",    ".c",	   ".cpp",	  ".h",	    ".js",   ".css", ".names", ".data", ".bak"};
	static const char *const whole[] = {"LICENSE", "LICENCE",  "COPYING",  "NOTICE",     "README",	  "CITATION", "AUTHORS",   "CHANGELOG",
					    "VERSION", "MANIFEST", "Makefile", "Dockerfile", "checksums", "md5sums",  "sha256sums"};
	const char *base = strrchr(path, '/'), *end = strrchr(base ? base : path, '.');
	size_t i;

	for (i = 0; i < sizeof whole / sizeof *whole; i++)
		if (!strcasecmp(base ? base + 1 : path, whole[i]))
			return 1;
	for (i = 0; end && i < sizeof ends / sizeof *ends; i++)
		if (!strcasecmp(end, ends[i]))
			return 1;
	return 0;
}

int ns_is_image_name(const char *path)
{
	static const char *const ends[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif",  ".tiff", ".gif", ".bmp",
					   ".dib", ".ppm",  ".pgm", ".pbm",  ".pnm", ".heic", ".heif", ".avif", ".jxl", ".jp2"};
	const char *end = strrchr(path, '.');
	size_t i;

	for (i = 0; end && i < sizeof ends / sizeof *ends; i++)
		if (!strcasecmp(end, ends[i]))
			return 1;
	return 0;
}

const char *ns_why_not(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		char name[256];

		snprintf(name, sizeof name, "%.*s", (int)(n < 255 ? n : 255), path);
		if (ns_is_litter(name))
			return "is what a system leaves in folders";
		if (*name == '.' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			return "is hidden: its name, or a folder's above it, begins with a dot";
		path += n + (path[n] == '/');
	}
	return NULL;
}
