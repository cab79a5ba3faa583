/* datasets/objects/voc.c - <annotation><object><name>dog</name><bndbox>...: XML by expat, elements as members. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/objects/objects.h"

#include <expat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

#define DEPTH_MAX 16
#define TEXT_MAX  4096 /* of an element */

struct voc {
	XML_Parser parser;
	json_t *open[DEPTH_MAX]; /* elements that have begun, the root first: objects of their children */
	int depth, failed;	 /* failed: too deep, too long, another root, or declares entities */
	char text[TEXT_MAX];	 /* since the last tag */
	size_t bytes;
	json_t *root;
};

static void fail(struct voc *v)
{
	v->failed = 1;
	XML_StopParser(v->parser, XML_FALSE);
}

static void XMLCALL begin(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct voc *v = context;

	(void)attributes;
	v->bytes = 0;
	if (v->depth == DEPTH_MAX || (!v->depth && strcmp(name, "annotation") != 0))
		fail(v);
	else
		v->open[v->depth++] = json_object();
}

/* An element without children: a number, or a text without blanks around it. */
static json_t *leaf(const struct voc *v, const char *name)
{
	const char *text = v->text;
	size_t n = v->bytes;
	json_t *number;

	while (n && strchr(" \t\r\n", *text))
		text++, n--;
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	number = n && strcmp(name, "name") != 0 ? json_loadb(text, n, JSON_DECODE_ANY, NULL) : NULL;
	if (json_is_number(number))
		return number;
	json_decref(number);
	return json_stringn(text, n);
}

/* A second element of the same name makes a list of both. */
static void put(json_t *parent, const char *name, json_t *value)
{
	json_t *there = json_object_get(parent, name), *list;

	if (!there) {
		json_object_set_new(parent, name, value);
	} else if (json_is_array(there)) {
		json_array_append_new(there, value);
	} else {
		list = json_pack("[O, o]", there, value);
		json_object_set_new(parent, name, list);
	}
}

static void XMLCALL end(void *context, const XML_Char *name)
{
	struct voc *v = context;
	json_t *element;

	if (v->failed) /* an empty element that began too deep ends here, too */
		return;
	element = v->open[--v->depth];
	if (!json_object_size(element)) {
		json_decref(element);
		element = leaf(v, name);
	}
	v->bytes = 0;
	if (v->depth)
		put(v->open[v->depth - 1], name, element);
	else
		v->root = element;
}

static void XMLCALL characters(void *context, const XML_Char *text, int n)
{
	struct voc *v = context;

	if (v->bytes + (size_t)n > TEXT_MAX) {
		fail(v);
		return;
	}
	memcpy(v->text + v->bytes, text, (size_t)n);
	v->bytes += (size_t)n;
}

/* Entities multiply what a file holds, and VOC has none. */
static void XMLCALL entity(void *context, const XML_Char *name, int parameter, const XML_Char *value, int bytes, const XML_Char *base,
			   const XML_Char *system, const XML_Char *public, const XML_Char *notation)
{
	(void)name;
	(void)parameter;
	(void)value;
	(void)bytes;
	(void)base;
	(void)system;
	(void)public;
	(void)notation;
	fail(context);
}

static json_t *number(double x)
{
	return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

/* Names and boxes of an object, or of a part of one, as all annotations have them. */
static void rename_members(json_t *object)
{
	static const char *const sides[] = {"xmin", "ymin", "xmax", "ymax"};
	json_t *box = json_object_get(object, "bndbox"), *name = json_object_get(object, "name");
	double at[4];
	int i, whole = 1;

	if (name) {
		json_object_set(object, "category", name);
		json_object_del(object, "name");
	}
	for (i = 0; i < 4; i++) {
		at[i] = ns_json_number(box, sides[i], 0);
		whole &= json_is_number(json_object_get(box, sides[i]));
	}
	if (!whole)
		return;
	json_object_set_new(object, "bbox",
			    json_pack("[o, o, o, o]", number(at[0] - 1), number(at[1] - 1), number(at[2] - at[0] + 1), number(at[3] - at[1] + 1)));
	json_object_del(object, "bndbox");
}

/* The member as a list of objects, whose members are renamed; of what is none, nothing. */
static json_t *objects_of(json_t *parent, const char *key)
{
	json_t *there = json_object_get(parent, key), *list = json_array(), *one;
	size_t i;

	if (json_is_object(there))
		json_array_append(list, there);
	json_array_foreach(there, i, one)
		if (json_is_object(one))
			json_array_append(list, one);
	json_array_foreach(list, i, one)
		rename_members(one);
	return list;
}

static json_t *annotation_of(json_t *root)
{
	json_t *objects = objects_of(root, "object"), *object;
	size_t i;

	json_array_foreach(objects, i, object)
		if (json_object_get(object, "part"))
			json_object_set_new(object, "part", objects_of(object, "part"));
	json_object_set_new(root, "objects", objects);
	json_object_del(root, "object");
	/* where the file once lay */
	json_object_del(root, "filename");
	json_object_del(root, "folder");
	json_object_del(root, "path");
	return json_incref(root);
}

enum ns_status ns_voc_read(const char *text, size_t bytes, json_t **out)
{
	struct voc *v = calloc(1, sizeof *v);
	int fine;

	*out = NULL;
	if (v)
		v->parser = XML_ParserCreate(NULL);
	if (!v || !v->parser) {
		free(v);
		return ns_fail(NS_NO_MEMORY, "out of memory for the objects of an image");
	}
	XML_SetUserData(v->parser, v);
	XML_SetElementHandler(v->parser, begin, end);
	XML_SetCharacterDataHandler(v->parser, characters);
	XML_SetEntityDeclHandler(v->parser, entity);
	fine = bytes < (size_t)1 << 30 && XML_Parse(v->parser, text, (int)bytes, 1) == XML_STATUS_OK && !v->failed && json_is_object(v->root);
	if (fine)
		*out = annotation_of(v->root);
	while (v->depth)
		json_decref(v->open[--v->depth]);
	json_decref(v->root);
	XML_ParserFree(v->parser);
	free(v);
	return NS_OK;
}
