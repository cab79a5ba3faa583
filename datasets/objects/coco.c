/*
 * datasets/objects/coco.c - COCO's file: images, annotations, categories. It may have hundreds of MB, so that no tree is made of all of it: its lists
 * are found by their brackets, an element at a time is parsed, and what is kept of it is its text, so that numbers stay as they were written.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/objects/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

struct span {
	const char *at, *end;
};

struct image {
	char *id, *file, *members; /* the text of what it has beside these two, as of keep() */
};

struct said {	    /* one element of `annotations` */
	char *id;   /* of its image */
	char *text; /* of its members, as of keep() */
	size_t order;
	int caption;
};

struct coco {
	const char *text;
	struct span images, annotations, categories; /* behind the opening brackets */
	struct image *image;
	struct said *said;
	size_t image_count, image_capacity, said_count, said_capacity;
	json_t *names; /* of categories, by their ids */
};

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	return p;
}

/* Behind a string's end, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	return p < end ? p + 1 : NULL;
}

/* Behind a value's end, or NULL: the text ends first. */
static const char *skip_value(const char *p, const char *end)
{
	int depth = 0;

	p = skip_blanks(p, end);
	while (p && p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (*p == '}' || *p == ']') {
			depth--;
			p++;
		} else if (depth) {
			p++;
			continue;
		} else {
			while (p < end && *p && !strchr(",]} \t\r\n", *p))
				p++;
		}
		if (depth <= 0)
			return p;
	}
	return NULL;
}

/* The next of a list's elements; 0: it has ended, or is damaged: *list then begins with what is no bracket. */
static int next_element(struct span *list, struct span *element)
{
	const char *p = skip_blanks(list->at, list->end);

	if (p < list->end && *p == ',')
		p = skip_blanks(p + 1, list->end);
	list->at = p;
	if (p >= list->end || *p != '{')
		return 0;
	*element = (struct span){p, skip_value(p, list->end)};
	if (!element->end)
		return 0;
	list->at = element->end;
	return 1;
}

/* Finds the lists that are members of the outermost object; 0: it is none. */
static int find_lists(struct coco *c, const char *text, size_t bytes)
{
	const char *end = text + bytes, *p = skip_blanks(text, end), *key;

	c->text = text;
	if (p >= end || *p != '{')
		return 0;
	for (p = skip_blanks(p + 1, end); p < end && *p == '"'; p = skip_blanks(p + (p < end && *p == ','), end)) {
		struct span *to = NULL;

		key = p + 1;
		p = skip_string(p, end);
		if (!p)
			return 0;
		if (p - key == 7 && !memcmp(key, "images", 6))
			to = &c->images;
		else if (p - key == 12 && !memcmp(key, "annotations", 11))
			to = &c->annotations;
		else if (p - key == 11 && !memcmp(key, "categories", 10))
			to = &c->categories;
		p = skip_blanks(p, end);
		if (p >= end || *p != ':')
			return 0;
		p = skip_blanks(p + 1, end);
		if (to && p < end && *p == '[')
			*to = (struct span){p + 1, end};
		p = skip_value(p, end);
		if (!p) /* cut in this value: what is in it is found out element by element */
			return c->images.at && c->annotations.at;
		p = skip_blanks(p, end);
	}
	return c->images.at != NULL; /* a test set has no annotations */
}

static json_t *parse(const struct span *element)
{
	return json_loadb(element->at, (size_t)(element->end - element->at), 0, NULL);
}

/* Is a member named in the text of the first element of a list? Whether that can be parsed is not asked: then the file is damaged. */
static int first_names(struct span list, const char *member)
{
	struct span element;
	size_t n = strlen(member);
	const char *p;

	if (!list.at || !next_element(&list, &element))
		return 0;
	for (p = element.at; (size_t)(element.end - p) > n + 1; p++)
		if (*p == '"' && !memcmp(p + 1, member, n) && p[n + 1] == '"')
			return 1;
	return 0;
}

int ns_coco_is(const char *text, size_t bytes)
{
	struct coco c = {0};

	(void)find_lists(&c, text, bytes);
	return first_names(c.images, "file_name") || (c.annotations.at && first_names(c.annotations, "image_id"));
}

/* An id as text, which the caller frees; NULL: it is neither a number nor text. */
static char *id_of(const json_t *json, const char *key)
{
	const json_t *id = json_object_get(json, key);
	char digits[32];

	if (json_is_string(id))
		return strdup(json_string_value(id));
	if (!json_is_number(id))
		return NULL;
	if (json_is_integer(id))
		snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(id));
	else
		snprintf(digits, sizeof digits, "%.17g", json_real_value(id));
	return strdup(digits);
}

/* Copies a text of JSON without the blanks between its values; returns the end of the copy. */
static char *copy(char *to, const char *p, const char *end)
{
	const char *behind;

	while (p < end) {
		behind = *p == '"' ? skip_string(p, end) : p + 1;
		if (!strchr(" \t\r\n", *p)) {
			memcpy(to, p, (size_t)(behind - p));
			to += behind - p;
		}
		p = behind;
	}
	return to;
}

/* The text of an object's members but for those named, without its braces; the object has been parsed. The caller frees it. */
static char *keep(const struct span *element, const char *const *but)
{
	char *text = malloc((size_t)(element->end - element->at) + 1), *to = text;
	const char *p = skip_blanks(element->at + 1, element->end), *key, *end;
	size_t n, i;

	while (text && *p != '}') {
		key = p;
		p = skip_string(p, element->end);
		n = (size_t)(p - key) - 2;
		p = skip_blanks(p, element->end) + 1; /* the colon */
		end = skip_value(p, element->end);
		for (i = 0; but[i] && (strlen(but[i]) != n || memcmp(but[i], key + 1, n) != 0);)
			i++;
		if (!but[i]) {
			if (to > text)
				*to++ = ',';
			to = copy(to, key, end);
		}
		p = skip_blanks(end, element->end);
		p = *p == ',' ? skip_blanks(p + 1, element->end) : p;
	}
	if (text)
		*to = 0;
	return text;
}

static enum ns_status grow(void *list, size_t count, size_t *capacity, size_t size)
{
	void **p = list, *more;

	if (count < *capacity)
		return NS_OK;
	more = realloc(*p, size * (*capacity ? 2 * *capacity : 1024));
	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for the annotations of COCO's");
	*p = more;
	*capacity = *capacity ? 2 * *capacity : 1024;
	return NS_OK;
}

static enum ns_status take_image(struct coco *c, const json_t *json, const struct span *element)
{
	static const char *const but[] = {"id", "file_name", "objects", "captions", NULL};
	struct image *i;

	NS_TRY(grow(&c->image, c->image_count, &c->image_capacity, sizeof *c->image));
	if (!json_is_string(json_object_get(json, "file_name")))
		return ns_fail(NS_BAD_DATA, "image %zu has no file_name", c->image_count);
	i = &c->image[c->image_count];
	*i = (struct image){id_of(json, "id"), strdup(ns_json_text(json, "file_name")), keep(element, but)};
	c->image_count++;
	return i->id && i->file && i->members ? NS_OK : ns_fail(NS_BAD_DATA, "image %zu has no id", c->image_count - 1);
}

/* The members, and after them the name of the category, where there is one. */
static char *with_category(char *members, const json_t *name)
{
	char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL, *text;
	size_t most;

	if (!members || !quoted)
		return members;
	most = strlen(members) + strlen(quoted) + sizeof ",\"category\":";
	text = malloc(most);
	if (text)
		snprintf(text, most, "%s%s\"category\":%s", members, *members ? "," : "", quoted);
	free(quoted);
	free(members);
	return text;
}

static enum ns_status take_annotation(struct coco *c, const json_t *json, const struct span *element)
{
	static const char *const but[] = {"image_id", "category", NULL}, *const all[] = {"image_id", NULL};
	struct said *s;
	char *category = id_of(json, "category_id");
	const json_t *name = category ? json_object_get(c->names, category) : NULL;

	free(category);
	NS_TRY(grow(&c->said, c->said_count, &c->said_capacity, sizeof *c->said));
	s = &c->said[c->said_count];
	*s = (struct said){id_of(json, "image_id"), NULL, c->said_count, !json_object_get(json, "bbox") && json_object_get(json, "caption")};
	s->text = with_category(keep(element, name ? but : all), name);
	c->said_count++;
	return s->id && s->text ? NS_OK : ns_fail(NS_BAD_DATA, "annotation %zu has no image_id", c->said_count - 1);
}

static enum ns_status take_category(struct coco *c, const json_t *json, const struct span *element)
{
	char *id = id_of(json, "id");

	(void)element;
	if (id && json_is_string(json_object_get(json, "name")))
		json_object_set_nocheck(c->names, id, json_object_get(json, "name"));
	free(id);
	return NS_OK;
}

static enum ns_status take_list(struct coco *c, struct span list, const char *name,
				enum ns_status (*take)(struct coco *c, const json_t *json, const struct span *element))
{
	struct span element;
	enum ns_status status = NS_OK;
	size_t n = 0;

	if (!list.at)
		return NS_OK;
	for (; status == NS_OK && next_element(&list, &element); n++) {
		json_t *json = parse(&element);

		status = json_is_object(json) ? take(c, json, &element) : ns_fail(NS_BAD_DATA, "%s %zu is damaged", name, n);
		json_decref(json);
	}
	if (status == NS_OK && (list.at >= list.end || *list.at != ']'))
		status = ns_fail(NS_BAD_DATA, "%s: expected an object or ']' at byte %td, after %zu", name, list.at - c->text, n);
	return status;
}

static int by_image(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	int order = strcmp(x->id, y->id);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* The first annotation of an image. */
static size_t first_of(const struct coco *c, const char *id)
{
	size_t low = 0, high = c->said_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(c->said[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Writes those of an image's annotations that are captions, or that are not, as a list; where there are none, captions are no member. */
static void write_list(FILE *to, const struct coco *c, const struct image *image, int captions)
{
	size_t i, n = 0;

	for (i = first_of(c, image->id); i < c->said_count && !strcmp(c->said[i].id, image->id); i++)
		if (c->said[i].caption == captions)
			fprintf(to, "%s{%s}", n++ ? "," : captions ? "\"captions\":[" : "\"objects\":[", c->said[i].text);
	if (n)
		fputs("],", to);
	else if (!captions)
		fputs("\"objects\":[],", to);
}

static enum ns_status tell_image(const struct coco *c, const struct image *i, int captions_alone,
				 enum ns_status (*image)(void *context, const char *file_name, const char *annotation), void *context)
{
	size_t bytes;
	char *text = NULL;
	FILE *to = open_memstream(&text, &bytes);
	enum ns_status status;

	if (!to)
		return ns_fail(NS_NO_MEMORY, "out of memory for the objects of an image");
	fputs("{", to);
	write_list(to, c, i, 1);
	if (!captions_alone)
		write_list(to, c, i, 0);
	fprintf(to, "%s}", i->members);
	if (fclose(to)) {
		free(text);
		return ns_fail(NS_NO_MEMORY, "out of memory for the objects of an image");
	}
	if (bytes > 2 && !strcmp(text + bytes - 2, ",}")) /* no member follows the lists */
		strcpy(text + bytes - 2, "}");
	status = image(context, i->file, text);
	free(text);
	return status;
}

static enum ns_status tell_all(struct coco *c, enum ns_status (*image)(void *context, const char *file_name, const char *annotation), void *context)
{
	size_t i, captions = 0;

	for (i = 0; i < c->said_count; i++)
		captions += (size_t)c->said[i].caption;
	if (c->said_count)
		qsort(c->said, c->said_count, sizeof *c->said, by_image);
	for (i = 0; i < c->image_count; i++)
		NS_TRY(tell_image(c, &c->image[i], !c->annotations.at || (captions && captions == c->said_count), image, context));
	return NS_OK;
}

enum ns_status ns_coco_each(const char *text, size_t bytes, enum ns_status (*image)(void *context, const char *file_name, const char *annotation),
			    void *context)
{
	struct coco c = {.names = json_object()};
	enum ns_status status;
	size_t i;

	NS_GO(find_lists(&c, text, bytes) ? NS_OK : ns_fail(NS_BAD_DATA, "has no lists `images` and `annotations`, or ends in the middle"));
	NS_GO(take_list(&c, c.categories, "categories", take_category));
	NS_GO(take_list(&c, c.images, "images", take_image));
	NS_GO(take_list(&c, c.annotations, "annotations", take_annotation));
	status = tell_all(&c, image, context);
out:
	for (i = 0; i < c.image_count; i++) {
		free(c.image[i].id);
		free(c.image[i].file);
		free(c.image[i].members);
	}
	for (i = 0; i < c.said_count; i++) {
		free(c.said[i].id);
		free(c.said[i].text);
	}
	free(c.image);
	free(c.said);
	json_decref(c.names);
	return status;
}
