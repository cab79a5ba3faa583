/* What files say of objects: COCO's, YOLO's and Pascal VOC's. What is made of them is JSON that can be read again. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/objects/objects.h"

/* A list of objects, in JSON that is written and read again. */
static void check(json_t *annotation)
{
	char *text = json_dumps(annotation, JSON_COMPACT);
	json_t *again = text ? json_loads(text, 0, NULL) : NULL;

	if (!json_is_array(json_object_get(again, "objects")))
		abort();
	json_decref(again);
	free(text);
}

static enum ns_status image(void *context, const char *file_name, const char *annotation)
{
	json_t *json = json_loads(annotation, 0, NULL);

	(void)context;
	if (!file_name || !json_is_object(json))
		abort();
	json_decref(json);
	return NS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* of its own size, so that a byte too far is seen */
	json_t *names = NULL, *json = NULL;
	enum ns_status status;

	if (!text)
		return 0;
	memcpy(text, data, size);
	(void)ns_yolo_names(text, size, &names);
	if (ns_yolo_read(text, size, names, &json) == NS_OK && json)
		check(json);
	json_decref(json);
	if (ns_voc_read(text, size, &json) == NS_OK && json)
		check(json);
	json_decref(json);
	status = ns_coco_is(text, size) ? ns_coco_each(text, size, image, NULL) : NS_OK;
	if (status != NS_OK && status != NS_BAD_DATA)
		abort();
	json_decref(names);
	free(text);
	return 0;
}

static void change(struct fuzz_bytes *b)
{
	static const char *const texts[] = {"0 .5 .5 .2 .2\n",
					    "1 0 0 1 1 .9\n",
					    "2 0 0 1 0 1 1\n",
					    "nan",
					    "1e999",
					    "-0",
					    "names:\n",
					    "0: a\n",
					    "99999999: b\n",
					    "-1: c\n",
					    "names: [a, b]\n",
					    "<annotation>",
					    "</annotation>",
					    "<object>",
					    "</object>",
					    "<object/>",
					    "<name>dog</name>",
					    "<part><name>head</name></part>",
					    "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>",
					    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
					    "&b;",
					    "<![CDATA[x]]>",
					    "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
					    "{\"images\": [",
					    "{\"id\": 1, \"file_name\": \"a.png\"}",
					    "], \"annotations\": [",
					    "{\"id\": 1, \"image_id\": 1, \"bbox\": [0, 0, 1, 1]}",
					    "{\"image_id\": 1, \"caption\": \"\\\"]}\"}",
					    "], \"categories\": [",
					    "{\"id\": 1, \"name\": \"dog\"}",
					    "]}",
					    "\"",
					    "\\",
					    "{}",
					    ",",
					    ":",
					    "[",
					    "}"};

	fuzz_change_text(b, texts, sizeof texts / sizeof *texts);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
	return fuzz_mutate(data, size, most, seed, change, NULL);
}
