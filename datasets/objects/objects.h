/*
 * datasets/objects/objects.h - what files say of the objects in images, as one kind of annotation.
 *
 * An annotation is an object of JSON. Its list "objects" has an object for each that the image shows: "category", its name, and
 * "category_id", where the file has one; "bbox": [x, y, width, height] in pixels of the image as it was seen by whoever drew it, from its
 * upper left corner, or "bbox_normalized": the same in shares of width and height; and whatever else the file says of it.
 */
#ifndef NS_OBJECTS_H
#define NS_OBJECTS_H

#include <jansson.h>
#include <stddef.h>

#include "kernels/status.h"

/*
 * A file of YOLO's, of one image: a line an object, its category's number and then the box's middle and size (four numbers), and perhaps a
 * confidence (five), or a polygon (six and more, an even number), in shares of the image. set: of ns_yolo_names(), or NULL. No line is an
 * image of no object. *out NULL: it is another kind of text; what has a set may be so where
 * what has none was not. It need not end in a 0.
 */
enum ns_status ns_yolo_read(const char *text, size_t bytes, const json_t *set, json_t **out);
/*
 * What data.yaml says: `names`, of its list or map of their numbers, as texts, null where there is none; and `keypoints`, how many numbers of key points
 * stand behind a box, by kpt_shape. *set NULL: it has no names.
 */
enum ns_status ns_yolo_names(const char *text, size_t bytes, json_t **set);

/*
 * A file of Pascal VOC's, of one image. Its boxes count pixels from 1 and include the last one, so that xmin is x + 1 and xmax is x + width. *out
 * NULL: it is another kind of XML, or damaged. Entities of its own are refused.
 */
enum ns_status ns_voc_read(const char *text, size_t bytes, json_t **out);

/* Is it COCO's, perhaps damaged: an object with a list `images` of objects with `file_name`, or `annotations` of objects with `image_id`? */
int ns_coco_is(const char *text, size_t bytes);
/*
 * Each image of COCO's file, in its order: the name of its file, and its annotation as JSON on one line. Members of `images` beside file_name and id
 * are members of the annotation; `annotations` with a caption are "captions", the others "objects". An annotation of an image that is not listed says nothing.
 * NS_BAD_DATA: damaged, with the place. What `image` returns ends it, unless it is NS_OK.
 */
enum ns_status ns_coco_each(const char *text, size_t bytes, enum ns_status (*image)(void *context, const char *file_name, const char *annotation),
			    void *context);

#endif
