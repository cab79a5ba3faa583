/* datasets/decode/heif_boxes.c - HEIF's boxes: which items there are, where their bytes lie, what is said of them. Nothing is allocated. */
#include "datasets/decode/heif_inner.h"

#include <string.h>

#define META_MOST	(1 << 20) /* bytes of the box that describes all items, which is read from its beginning for each of them */
#define PROPERTIES_MOST 32	  /* of an item: of a damaged or hostile file there might be a million */
#define INDEX_MOST	8192	  /* of a property */

uint64_t ns_heif_take(struct ns_heif_span *s, size_t n)
{
	uint64_t x = 0;
	size_t i;

	if (!s->at || s->bytes < n) {
		*s = (struct ns_heif_span){NULL, 0};
		return 0;
	}
	for (i = 0; i < n; i++)
		x = x << 8 | s->at[i];
	s->at += n;
	s->bytes -= n;
	return x;
}

int ns_heif_box(struct ns_heif_span *rest, uint32_t *type, struct ns_heif_span *in, struct ns_heif_span *whole)
{
	struct ns_heif_span s = *rest;
	uint64_t n = ns_heif_take(&s, 4);

	*type = (uint32_t)ns_heif_take(&s, 4);
	if (n == 1)
		n = ns_heif_take(&s, 8);
	else if (n == 0)
		n = rest->bytes;
	if (!s.at || n < rest->bytes - s.bytes || n > rest->bytes)
		return 0;
	*whole = (struct ns_heif_span){rest->at, (size_t)n};
	*in = (struct ns_heif_span){s.at, (size_t)n - (rest->bytes - s.bytes)};
	rest->at += n;
	rest->bytes -= (size_t)n;
	return 1;
}

/* version and flags, which begin many a box */
static int version_of(struct ns_heif_span *s, uint32_t *flags)
{
	uint32_t x = (uint32_t)ns_heif_take(s, 4);

	*flags = x & 0xffffff;
	return (int)(x >> 24);
}

static void read_meta(struct ns_heif *f, struct ns_heif_span meta)
{
	struct ns_heif_span in, whole, rest;
	uint32_t type, flags;

	version_of(&meta, &flags);
	while (ns_heif_box(&meta, &type, &in, &whole)) {
		struct ns_heif_span *keep = type == NS_HEIF_CODE('i', 'l', 'o', 'c')   ? &f->iloc
					    : type == NS_HEIF_CODE('i', 'i', 'n', 'f') ? &f->iinf
					    : type == NS_HEIF_CODE('i', 'r', 'e', 'f') ? &f->iref
					    : type == NS_HEIF_CODE('i', 'p', 'r', 'p') ? &f->iprp
					    : type == NS_HEIF_CODE('i', 'd', 'a', 't') ? &f->idat
										       : NULL;

		if (keep && !keep->at)
			*keep = in;
		if (type == NS_HEIF_CODE('p', 'i', 't', 'm'))
			f->primary = (uint32_t)ns_heif_take(&in, version_of(&in, &flags) ? 4 : 2);
	}
	rest = f->iprp;
	while (ns_heif_box(&rest, &type, &in, &whole))
		if (type == NS_HEIF_CODE('i', 'p', 'c', 'o') && !f->ipco.at)
			f->ipco = in;
}

enum ns_status ns_heif_open(struct ns_heif *f, const char *title, const uint8_t *data, size_t bytes)
{
	struct ns_heif_span rest = {data, bytes}, in, whole;
	uint32_t type;

	*f = (struct ns_heif){.title = title, .all = rest};
	while (ns_heif_box(&rest, &type, &in, &whole)) {
		if (type != NS_HEIF_CODE('m', 'e', 't', 'a'))
			continue;
		read_meta(f, in);
		if (in.bytes - f->idat.bytes > META_MOST) /* which may hold all the pixels */
			return ns_fail(NS_BAD_DATA, "%s: its items are described in more than %d bytes", title, META_MOST);
		if (!f->primary || !f->iloc.at || !f->iinf.at || !f->ipco.at)
			return ns_fail(NS_BAD_DATA, "%s: its header is damaged", title);
		return NS_OK;
	}
	return ns_fail(NS_BAD_DATA, "%s: has no still image, or ends in its header", title);
}

static uint32_t type_of(const struct ns_heif *f, uint32_t id)
{
	struct ns_heif_span rest = f->iinf, in, whole;
	uint32_t type, flags;

	ns_heif_take(&rest, version_of(&rest, &flags) ? 4 : 2);
	while (ns_heif_box(&rest, &type, &in, &whole)) {
		int version = version_of(&in, &flags);

		if (type != NS_HEIF_CODE('i', 'n', 'f', 'e') || version < 2 || ns_heif_take(&in, version == 2 ? 2 : 4) != id)
			continue;
		ns_heif_take(&in, 2);
		return (uint32_t)ns_heif_take(&in, 4);
	}
	return 0;
}

/* Turned by so many quarters counterclockwise and then, perhaps, left and right exchanged: any of EXIF's eight is this. */
struct turn {
	unsigned quarters, mirrored;
	int properties; /* so many are read */
};

static void add_rotation(struct turn *t, unsigned quarters)
{
	t->quarters += t->mirrored ? 4 - quarters : quarters;
}

static void add_mirror(struct turn *t, int left_and_right)
{
	if (!left_and_right)
		add_rotation(t, 2); /* half a turn, and left and right exchanged, exchanges top and bottom */
	t->mirrored ^= 1;
}

/* a property of an item: the boxes that matter here */
static void add_property(struct ns_heif_item *item, struct turn *t, uint32_t type, struct ns_heif_span in, struct ns_heif_span whole)
{
	static const char *const alphas[] = {"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", "urn:mpeg:hevc:2015:auxid:1",
					     "urn:mpeg:avc:2015:auxid:1"};
	size_t i;

	switch (type) {
	case NS_HEIF_CODE('h', 'v', 'c', 'C'):
	case NS_HEIF_CODE('a', 'v', '1', 'C'):
		item->config = whole;
		break;
	case NS_HEIF_CODE('c', 'o', 'l', 'r'):
		if (ns_heif_take(&in, 4) == NS_HEIF_CODE('n', 'c', 'l', 'x'))
			item->nclx = whole;
		else
			item->profile = 1;
		break;
	case NS_HEIF_CODE('i', 'r', 'o', 't'):
		add_rotation(t, (unsigned)ns_heif_take(&in, 1) & 3);
		break;
	case NS_HEIF_CODE('i', 'm', 'i', 'r'):
		add_mirror(t, (int)ns_heif_take(&in, 1) & 1);
		break;
	case NS_HEIF_CODE('c', 'l', 'a', 'p'):
		item->clap = in;
		break;
	case NS_HEIF_CODE('a', 'u', 'x', 'C'):
		for (i = 0; i < sizeof alphas / sizeof *alphas; i++)
			item->is_alpha |= in.bytes > 4 + strlen(alphas[i]) && !memcmp(in.at + 4, alphas[i], strlen(alphas[i]) + 1);
		break;
	default:
		break;
	}
}

static void read_property(const struct ns_heif *f, uint32_t index, struct ns_heif_item *item, struct turn *t)
{
	struct ns_heif_span rest = f->ipco, in, whole;
	uint32_t type, i = 1;

	if (!index || index > INDEX_MOST || ++t->properties > PROPERTIES_MOST)
		return;
	while (ns_heif_box(&rest, &type, &in, &whole))
		if (i++ == index) {
			add_property(item, t, type, in, whole);
			return;
		}
}

/* Properties apply in the order in which a box ipma names them. */
static void read_properties(const struct ns_heif *f, struct ns_heif_span ipma, struct ns_heif_item *item, struct turn *t)
{
	uint32_t flags;
	int version = version_of(&ipma, &flags);
	uint64_t n = ns_heif_take(&ipma, 4), k;

	for (; n && ipma.at; n--) {
		uint32_t id = (uint32_t)ns_heif_take(&ipma, version ? 4 : 2);

		for (k = ns_heif_take(&ipma, 1); k && ipma.at; k--) {
			uint32_t index = (uint32_t)ns_heif_take(&ipma, flags & 1 ? 2 : 1) & (flags & 1 ? 0x7fff : 0x7f);

			if (id == item->id)
				read_property(f, index, item, t);
		}
	}
}

enum ns_status ns_heif_item(const struct ns_heif *f, uint32_t id, struct ns_heif_item *item)
{
	static const uint8_t orientations[2][4] = {{1, 8, 3, 6}, {2, 7, 4, 5}};
	struct ns_heif_span rest = f->iprp, in, whole;
	struct turn t = {0, 0, 0};
	uint32_t type;

	*item = (struct ns_heif_item){.id = id, .type = type_of(f, id)};
	if (!item->type)
		return ns_fail(NS_BAD_DATA, "%s: item %u is not there", f->title, (unsigned)id);
	while (ns_heif_box(&rest, &type, &in, &whole))
		if (type == NS_HEIF_CODE('i', 'p', 'm', 'a'))
			read_properties(f, in, item, &t);
	item->orientation = orientations[t.mirrored][t.quarters & 3];
	return NS_OK;
}

struct layout { /* of the box iloc: bytes of its numbers */
	int version;
	size_t offset, length, base, index;
};

/* The parts of the item that begins here, which is stepped over; their number, or 0. */
static int read_item(const struct ns_heif *f, struct ns_heif_span *s, const struct layout *l, struct ns_heif_span *parts)
{
	uint64_t from = l->version ? ns_heif_take(s, 2) & 15 : 0, base, count, at, bytes;
	struct ns_heif_span in = from == 0 ? f->all : from == 1 ? f->idat : (struct ns_heif_span){NULL, 0};
	int n = 0, whole = in.at != NULL;

	ns_heif_take(s, 2);
	base = ns_heif_take(s, l->base);
	for (count = ns_heif_take(s, 2); count && s->at; count--) {
		ns_heif_take(s, l->index);
		at = base + ns_heif_take(s, l->offset);
		bytes = ns_heif_take(s, l->length);
		whole = whole && n < NS_HEIF_PARTS && at >= base && at <= in.bytes && bytes <= in.bytes - at;
		if (whole)
			parts[n++] = (struct ns_heif_span){in.at + at, bytes ? (size_t)bytes : in.bytes - (size_t)at};
	}
	return whole && s->at ? n : 0;
}

int ns_heif_parts(const struct ns_heif *f, uint32_t id, struct ns_heif_span *parts)
{
	struct ns_heif_span s = f->iloc;
	struct layout l;
	uint32_t flags;
	uint64_t sizes, count;

	l.version = version_of(&s, &flags);
	sizes = ns_heif_take(&s, 2);
	l.offset = sizes >> 12 & 15;
	l.length = sizes >> 8 & 15;
	l.base = sizes >> 4 & 15;
	l.index = l.version ? sizes & 15 : 0;
	if ((l.offset | l.length | l.base | l.index) > 8 || l.version > 2) /* 0, 4 or 8 */
		return 0;
	for (count = ns_heif_take(&s, l.version < 2 ? 2 : 4); count && s.at; count--) {
		uint64_t this = ns_heif_take(&s, l.version < 2 ? 2 : 4);
		int n = read_item(f, &s, &l, parts);

		if (this == id)
			return n;
	}
	return 0;
}

/* The n-th item that `from` refers to by a type (to is 0), or that refers to `to` (from is 0). */
static int find_reference(const struct ns_heif *f, uint32_t type, uint32_t from, uint32_t to, int n, uint32_t *found)
{
	struct ns_heif_span rest = f->iref, in, whole;
	uint32_t flags, this;
	size_t bytes = version_of(&rest, &flags) ? 4 : 2;

	while (ns_heif_box(&rest, &this, &in, &whole)) {
		uint32_t source = (uint32_t)ns_heif_take(&in, bytes), target;
		uint64_t count = ns_heif_take(&in, 2);

		for (; this == type && count && in.at; count--) {
			target = (uint32_t)ns_heif_take(&in, bytes);
			if (!in.at || (from ? source != from : target != to) || n-- > 0)
				continue;
			*found = from ? target : source;
			return 1;
		}
	}
	return 0;
}

int ns_heif_refers(const struct ns_heif *f, uint32_t type, uint32_t from, int n, uint32_t *to)
{
	return find_reference(f, type, from, 0, n, to);
}

int ns_heif_referrer(const struct ns_heif *f, uint32_t type, uint32_t to, int n, uint32_t *from)
{
	return find_reference(f, type, 0, to, n, from);
}
