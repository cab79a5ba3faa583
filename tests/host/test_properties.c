/*
 * tests/host/test_properties.c - what must hold for every input, tried on many that a seed draws: the epoch's permutation, the tree over
 * virtual ranks, the merge of configurations, YAML.
 */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/comm/comm.h"
#include "host/base/base.h"
#include "kernels/formula/random.h"
#include "tests/splitmix.h"

/* --- the permutation --- */

static void check_bijection(uint64_t n, uint64_t seed, enum ns_domain domain, uint32_t epoch)
{
	uint8_t *seen = calloc((size_t)n + 1, 1);
	uint64_t i;

	assert_non_null(seen);
	for (i = 0; i < n; i++) {
		uint64_t to = ns_permute(i, n, seed, domain, epoch);

		if (to >= n || seen[to]++)
			fail_msg("n %llu, seed %llu, epoch %u: entry %llu is %llu, which is outside or there twice", (unsigned long long)n,
				 (unsigned long long)seed, epoch, (unsigned long long)i, (unsigned long long)to);
	}
	free(seen);
}

static void permutation_is_bijective(void **state)
{
	uint64_t s = 1, n, k;

	(void)state;
	assert_int_equal(ns_permute(0, 0, 1, NS_FOR_SHUFFLE, 0), 0);
	for (n = 1; n <= 600; n++)
		for (k = 0; k < 3; k++)
			check_bijection(n, draw(&s), k % 2 ? NS_FOR_SPLIT : NS_FOR_SHUFFLE, (uint32_t)below(&s, 1 << 24));
	for (k = 5; k <= 8; k++) /* the block of the Feistel network grows behind each power of four */
		for (n = ((uint64_t)1 << 2 * k) - 1; n <= ((uint64_t)1 << 2 * k) + 1; n++)
			check_bijection(n, draw(&s), NS_FOR_SHUFFLE, (uint32_t)k);
	for (k = 0; k < 8; k++)
		check_bijection(1 + below(&s, 100000), draw(&s), NS_FOR_SHUFFLE, (uint32_t)below(&s, 300));
}

/* The Feistel network run backwards, and walked backwards where it leaves 0..n-1. */
static uint64_t unpermute(uint64_t index, uint64_t n, uint64_t seed, enum ns_domain domain, uint32_t epoch)
{
	struct ns_philox key = ns_draw(seed, domain, epoch, ~(uint64_t)0, 0);
	unsigned half = 1;
	uint64_t mask;
	uint32_t round;

	for (; half < 32 && (uint64_t)1 << 2 * half < n; half++)
		;
	mask = ((uint64_t)1 << half) - 1;
	do {
		uint64_t left = index >> half, right = index & mask;

		for (round = 6; round-- > 0;) {
			uint64_t before = right ^ (ns_philox2x32((uint32_t)left, round ^ key.v[1], key.v[0]) & mask);

			right = left;
			left = before;
		}
		index = left << half | right;
	} while (index >= n);
	return index;
}

static void permutation_is_invertible_at_any_size(void **state)
{
	uint64_t s = 2;
	int k, i;

	(void)state;
	for (k = 0; k < 300; k++) {
		uint64_t n = 2 + draw(&s) % ((uint64_t)1 << (1 + below(&s, 62))), seed = draw(&s);
		uint32_t epoch = (uint32_t)below(&s, 1 << 24);

		for (i = 0; i < 40; i++) {
			uint64_t from = i == 0 ? 0 : i == 1 ? n - 1 : below(&s, n), to = ns_permute(from, n, seed, NS_FOR_SHUFFLE, epoch);

			assert_true(to < n);
			assert_true(unpermute(to, n, seed, NS_FOR_SHUFFLE, epoch) == from);
		}
	}
}

/* Values by a second implementation, in Python, of Philox (the Random123 paper) and of the network over it. */
static void permutation_has_known_values(void **state)
{
	static const struct {
		uint64_t n, seed, index, value;
		uint32_t domain, epoch;
	} known[] = {
		{10, 1, 0, 3, 1, 0},
		{10, 1, 9, 4, 1, 0},
		{10, 1, 9, 2, 1, 1},
		{10, 2, 9, 7, 1, 0},
		{70000, 1, 12345, 10393, 1, 3},
		{70000, 1, 12345, 35839, 3, 0},
		{1000, 1099511627781, 999, 879, 4, 7},
		{8589934593, 3, 8589934592, 2837507423, 1, 2},
		{1000000000000, 1, 987654321, 100628602509, 1, 16777215},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		assert_int_equal(ns_permute(known[i].index, known[i].n, known[i].seed, (enum ns_domain)known[i].domain, known[i].epoch),
				 known[i].value);
}

/* Another seed, epoch or purpose is another permutation; of three things all six orders occur, each about as often. */
static void permutations_differ(void **state)
{
	uint64_t seed, i;
	int orders[27] = {0}, kinds = 0, fixed = 0;

	(void)state;
	for (seed = 0; seed < 1200; seed++) {
		uint64_t order = 0;

		for (i = 0; i < 3; i++)
			order = 3 * order + ns_permute(i, 3, seed, NS_FOR_SHUFFLE, 0);
		orders[order]++;
	}
	for (i = 0; i < 27; i++) {
		kinds += orders[i] > 0;
		assert_true(!orders[i] || (orders[i] > 130 && orders[i] < 270)); /* 200 expected, 13 their standard deviation */
	}
	assert_int_equal(kinds, 6);
	for (i = 0; i < 500; i++) { /* one agreement is expected of each pair; all 500 would be the same permutation */
		uint64_t one = ns_permute(i, 500, 7, NS_FOR_SHUFFLE, 1);

		fixed += one == i;
		fixed += one == ns_permute(i, 500, 8, NS_FOR_SHUFFLE, 1);
		fixed += one == ns_permute(i, 500, 7 + ((uint64_t)1 << 40), NS_FOR_SHUFFLE, 1);
		fixed += one == ns_permute(i, 500, 7, NS_FOR_SHUFFLE, 2);
		fixed += one == ns_permute(i, 500, 7, NS_FOR_SPLIT, 1);
	}
	assert_in_range(fixed, 0, 20);
}

/* --- the tree: ranks are threads here, which meet at a barrier --- */

#define RANKS_MOST 64

struct world {
	pthread_barrier_t barrier;
	const float *sent[RANKS_MOST];
	const int *send_counts[RANKS_MOST];
	float *whole[RANKS_MOST];
};

static enum ns_status meet(struct world *w)
{
	pthread_barrier_wait(&w->barrier);
	return NS_OK;
}

static enum ns_status exchange(struct ns_comm *c, const float *send, const int *send_counts, float *receive, const int *receive_counts)
{
	struct world *w = c->data;
	int r, i;

	w->sent[c->rank] = send;
	w->send_counts[c->rank] = send_counts;
	meet(w);
	for (r = 0; r < c->size; r++) {
		const float *from = w->sent[r];

		for (i = 0; i < c->rank; i++)
			from += w->send_counts[r][i];
		if (w->send_counts[r][c->rank] != receive_counts[r])
			return ns_fail(NS_INTERNAL, "rank %d sends other counts than rank %d receives", r, c->rank);
		memcpy(receive, from, (size_t)receive_counts[r] * sizeof *receive);
		receive += receive_counts[r];
	}
	return meet(w);
}

static enum ns_status gather_slices(struct ns_comm *c, float *data, const int *counts, const int *at)
{
	struct world *w = c->data;
	int r;

	w->whole[c->rank] = data;
	meet(w);
	for (r = 0; r < c->size; r++)
		if (r != c->rank)
			memcpy(data + at[r], w->whole[r] + at[r], (size_t)counts[r] * sizeof *data);
	return meet(w);
}

static void leave(struct ns_comm *c)
{
	(void)c;
}

static const struct ns_comm_ops by_threads = {.exchange = exchange, .gather_slices = gather_slices, .close = leave};

struct member {
	struct ns_comm comm;
	pthread_t thread;
	const float *leaves; /* of all virtual ranks, (v, n) */
	float *mine, *out;
	int v;
	size_t n;
	enum ns_status status;
};

static void *add_up(void *p)
{
	struct member *m = p;
	float *leaf[1024];
	int begin, end, i;

	ns_comm_share(&m->comm, m->comm.rank, m->v, &begin, &end);
	memcpy(m->mine, m->leaves + (size_t)begin * m->n, (size_t)(end - begin) * m->n * sizeof *m->mine);
	for (i = begin; i < end; i++)
		leaf[i - begin] = m->mine + (size_t)(i - begin) * m->n;
	m->status = ns_comm_tree_sum(&m->comm, m->v, leaf, m->n, m->out);
	return NULL;
}

/* the definition: a node is its left half's sum plus its right half's */
static float tree(const float *leaves, int first, int width, size_t n, size_t at)
{
	int half = width / 2;

	return width == 1 ? leaves[(size_t)first * n + at] : tree(leaves, first, half, n, at) + tree(leaves, first + half, half, n, at);
}

/* Numbers of very different size and sign: added in another order, most sums are others. */
static float *draw_leaves(uint64_t *s, size_t count)
{
	float *x = malloc(sizeof *x * (count + 1));
	size_t i;

	assert_non_null(x);
	for (i = 0; i < count; i++)
		x[i] = ((float)(int64_t)below(s, 2000001) - 1000000) * (1.0f / (float)(1 << below(s, 24)));
	return x;
}

static void tree_over(int size, int v, size_t n, const float *leaves, const float *want)
{
	struct member *m = calloc((size_t)size, sizeof *m);
	struct world w;
	int r;

	assert_non_null(m);
	assert_int_equal(pthread_barrier_init(&w.barrier, NULL, (unsigned)size), 0);
	for (r = 0; r < size; r++) {
		m[r] = (struct member){.comm = {.rank = r, .size = size, .ops = &by_threads, .data = &w}, .leaves = leaves, .v = v, .n = n};
		m[r].mine = malloc(sizeof *m[r].mine * ((size_t)v * n + 1));
		m[r].out = calloc(n + 1, sizeof *m[r].out);
		assert_true(m[r].mine && m[r].out);
	}
	for (r = 0; r < size; r++)
		assert_int_equal(pthread_create(&m[r].thread, NULL, add_up, &m[r]), 0);
	for (r = 0; r < size; r++)
		assert_int_equal(pthread_join(m[r].thread, NULL), 0);
	for (r = 0; r < size; r++) {
		assert_int_equal(m[r].status, NS_OK);
		if (memcmp(m[r].out, want, n * sizeof *want))
			fail_msg("%d virtual ranks over %d ranks: rank %d has other bits than the tree", v, size, r);
		ns_comm_close(&m[r].comm);
		free(m[r].mine);
		free(m[r].out);
	}
	pthread_barrier_destroy(&w.barrier);
	free(m);
}

static void tree_has_the_same_bits_on_any_ranks(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 31, 257, 1000};
	uint64_t s = 3;
	int v, k;

	(void)state;
	for (v = 1; v <= 32; v *= 2)
		for (k = 0; k < 6; k++) {
			size_t n = sizes[k], i;
			float *leaves = draw_leaves(&s, (size_t)v * n), *want = malloc(sizeof *want * n);
			int size;

			assert_non_null(want);
			for (i = 0; i < n; i++)
				want[i] = tree(leaves, 0, v, n, i);
			for (size = 1; size <= v; size += v > 8 && size > 4 ? 1 + (int)below(&s, 5) : 1)
				tree_over(size, v, n, leaves, want);
			free(leaves);
			free(want);
		}
}

/*
 * Cut anywhere, not only where the ranks' shares end: the subtrees of each piece tile it, stand where a node of the tree stands, and no two
 * of them are both halves of one; summed each by itself and then up the tree they give the tree's bits.
 */
static void subtrees_tile_any_cut(void **state)
{
	uint64_t s = 4;
	int round, i;

	(void)state;
	for (round = 0; round < 3000; round++) {
		int v = 1 << below(&s, 8), at = 0, first[1024], width[1024], all = 0, step;
		float *leaves = draw_leaves(&s, (size_t)v), sum[256];
		uint8_t is[256] = {0};

		while (at < v) {
			int end = at + 1 + (int)below(&s, (uint64_t)(v - at)), n = ns_comm_subtrees(at, end, first + all, width + all);

			for (i = all; i < all + n; i++) {
				assert_int_equal(first[i], at);
				assert_true(width[i] >= 1 && !(width[i] & (width[i] - 1)) && first[i] % width[i] == 0);
				assert_true(i == all || width[i - 1] != width[i] || first[i - 1] % (2 * width[i]) != 0);
				at += width[i];
			}
			assert_int_equal(at, end);
			all += n;
		}
		for (i = 0; i < all; i++) {
			sum[first[i]] = tree(leaves, first[i], width[i], 1, 0);
			is[first[i]] = 1;
		}
		for (step = 1; step < v; step *= 2)
			for (i = 0; i < v; i += 2 * step)
				if (is[i] && is[i + step]) {
					sum[i] += sum[i + step];
					is[i + step] = 0;
				}
		sum[0] -= tree(leaves, 0, v, 1, 0);
		assert_true(sum[0] == 0);
		free(leaves);
	}
}

static void shares_and_slices_cover(void **state)
{
	struct ns_comm c = {0};
	uint64_t s = 5;
	int round, r, begin, end, at;

	(void)state;
	for (round = 0; round < 2000; round++) {
		int v = 1 << below(&s, 11);
		int64_t n = 1 + (int64_t)below(&s, 100000), slice;

		c.size = 1 + (int)below(&s, (uint64_t)v);
		for (at = r = 0; r < c.size; r++, at = end) {
			ns_comm_share(&c, r, v, &begin, &end);
			assert_int_equal(begin, at);
			assert_true(end - begin >= v / c.size && end - begin <= v / c.size + 1);
		}
		assert_int_equal(at, v);
		slice = ns_comm_slice(&c, n);
		assert_true(slice % 16 == 0 && slice * c.size >= n && (slice - 16) * c.size < n);
	}
}

/* --- configuration: later wins, twice is once --- */

static const struct ns_key keys[] = {
	{"seed", NULL, NS_KEY_INT, "1", 1, "", 0, 1000},       {"train.lr", NULL, NS_KEY_REAL, "0.1", 1, "", 0, 0},
	{"train.ema", NULL, NS_KEY_BOOL, "true", 1, "", 0, 0}, {"train.deep.name", NULL, NS_KEY_TEXT, "null", 1, "", 0, 0},
	{"name", NULL, NS_KEY_TEXT, "here", 1, "", 0, 0},      {"list", NULL, NS_KEY_NODE, "[1, 2]", 1, "", 0, 0},
	{"map", NULL, NS_KEY_NODE, "null", 1, "", 0, 0},       {NULL, NULL, NS_KEY_INT, NULL, 0, NULL, 0, 0}};
#define KEYS (sizeof keys / sizeof *keys - 1)

static json_t *draw_text(uint64_t *s)
{
	static const char *const pieces[] = {
		"a",	"B",	"0",	"7", " ",   ":", "#", "-", "\\", "\"", "'", "{", "]", ",", "\n", "\t", "\x01", "\xc3\xa4", "\xe6\xbc\xa2",
		"<b>&", "null", "true", "~", "1e3", "%", "@", "!", "|",	 ">",  "*", "&x"};
	char text[256] = "";
	int n = (int)below(s, 9);

	while (n--)
		strcat(text, pieces[below(s, sizeof pieces / sizeof *pieces)]);
	return json_string(text);
}

static json_t *draw_value(uint64_t *s, int depth)
{
	uint64_t kind = below(s, depth > 3 ? 5 : 7), n = below(s, 4), i;
	json_t *value;

	switch (kind) {
	case 0:
		return json_integer((json_int_t)draw(s) >> below(s, 64));
	case 1:
		return json_real((double)(int64_t)draw(s) / (double)((uint64_t)1 << below(s, 64)));
	case 2:
		return json_boolean(draw(s) & 1);
	case 3:
		return json_null();
	case 4:
		return draw_text(s);
	case 5:
		for (value = json_array(), i = 0; i < n; i++)
			json_array_append_new(value, draw_value(s, depth + 1));
		return value;
	default:
		for (value = json_object(), i = 0; i < n; i++) {
			json_t *name = draw_text(s);

			if (json_string_length(name))
				json_object_set_new(value, json_string_value(name), draw_value(s, depth + 1));
			json_decref(name);
		}
		return value;
	}
}

/* what a key of the table can be given */
static json_t *draw_for(uint64_t *s, const struct ns_key *k)
{
	switch (k->type) {
	case NS_KEY_INT:
		return json_integer((json_int_t)below(s, 1001));
	case NS_KEY_REAL:
		return draw(s) & 1 ? json_real((double)below(s, 1000) / 8) : json_integer((json_int_t)below(s, 9));
	case NS_KEY_BOOL:
		return json_boolean(draw(s) & 1);
	case NS_KEY_TEXT:
		return draw_text(s);
	default:
		return draw_value(s, 0);
	}
}

/* some keys of the table with values; *flat: name -> value; what is returned is the same, flat or nested as the draw says */
static json_t *draw_settings(uint64_t *s, json_t **flat)
{
	json_t *tree = json_object(), *section = NULL, *deep = NULL;
	size_t k;

	*flat = json_object();
	for (k = 0; k < KEYS; k++) {
		json_t *value;

		if (draw(s) & 1)
			continue;
		value = draw_for(s, &keys[k]);
		if (json_is_null(value) && strcmp(keys[k].otherwise, "null")) { /* a key with a default has no null */
			json_decref(value);
			continue;
		}
		json_object_set(*flat, keys[k].name, value);
		if (!strncmp(keys[k].name, "train.", 6) && draw(s) & 1) {
			section = section ? section : json_object();
			if (strcmp(keys[k].name, "train.deep.name")) {
				json_object_set(section, keys[k].name + 6, value);
			} else {
				deep = json_pack("{s:O}", "name", value);
				json_object_set_new(section, "deep", deep);
			}
		} else {
			json_object_set(tree, keys[k].name, value);
		}
		json_decref(value);
	}
	if (section)
		json_object_set_new(tree, "train", section);
	return tree;
}

static void merge_is_idempotent_and_later_wins(void **state)
{
	uint64_t s = 6;
	int round;

	(void)state;
	for (round = 0; round < 400; round++) {
		struct ns_conf c, untouched;
		json_t *want, *given = json_object(), *flat, *tree, *once;
		int layer, layers = 1 + (int)below(&s, 4);
		const char *name;
		json_t *value;

		assert_int_equal(ns_conf_init(&c, keys), NS_OK);
		want = json_deep_copy(c.values);
		for (layer = 0; layer < layers; layer++) {
			tree = draw_settings(&s, &flat);
			json_object_foreach(flat, name, value)
				json_object_set_new(given, name, json_true());
			json_object_update(want, flat);
			assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_OK);
			once = json_deep_copy(c.values);
			assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_OK);
			assert_true(json_equal(once, c.values));
			json_decref(once);
			json_decref(tree);
			json_decref(flat);
		}
		if (!json_equal(want, c.values) || !json_equal(given, c.given))
			fail_msg("round %d: %s, wanted %s", round, json_dumps(c.values, 0), json_dumps(want, 0));
		/* a copy shares nothing, and its own values merged into it change nothing */
		assert_int_equal(ns_conf_copy(&untouched, &c), NS_OK);
		once = json_deep_copy(c.values);
		assert_int_equal(ns_conf_merge(&c, once, "here"), NS_OK);
		assert_true(json_equal(untouched.values, c.values) && json_equal(untouched.given, given));
		assert_int_equal(ns_conf_set(&c, "seed", json_integer_value(json_object_get(want, "seed")) == 5 ? "6" : "5", 0), NS_OK);
		assert_true(json_equal(untouched.values, want) && !json_equal(c.values, want));
		json_decref(once);
		json_decref(want);
		json_decref(given);
		ns_conf_release(&untouched);
		ns_conf_release(&c);
	}
}

/* A file of one section, such as a drift policy, fills what nobody gave, and never what somebody did, whatever the order of the values. */
static void policy_stays_below_what_was_given(void **state)
{
	uint64_t s = 7;
	int round;

	(void)state;
	for (round = 0; round < 60; round++) {
		char path[] = "/tmp/nightshift-properties.XXXXXX";
		json_t *flat, *tree = draw_settings(&s, &flat), *policy = json_object(), *want, *value;
		struct ns_conf c;
		const char *name;
		int fd = mkstemp(path);
		FILE *f = fdopen(fd, "w");

		assert_non_null(f);
		json_object_set_new(policy, "train.lr", json_real((double)below(&s, 100) / 4));
		json_object_set_new(policy, "train.ema", json_boolean(draw(&s) & 1));
		json_dumpf(policy, f, 0);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(ns_conf_init(&c, keys), NS_OK);
		assert_int_equal(ns_conf_merge(&c, tree, "here"), NS_OK);
		want = json_deep_copy(c.values);
		json_object_foreach(policy, name, value)
			if (!json_object_get(flat, name))
				json_object_set(want, name, value);
		assert_int_equal(ns_conf_file_under(&c, path, "train"), NS_OK);
		assert_true(json_equal(want, c.values));
		assert_int_equal(ns_conf_file_under(&c, path, "name"), NS_CONFIG);
		assert_int_equal(ns_conf_file_under(&c, path, "tra"), NS_CONFIG);
		/* as a whole configuration it wins over what was before */
		json_object_update(want, policy);
		assert_int_equal(ns_conf_file(&c, path), NS_OK);
		assert_true(json_equal(want, c.values));
		remove(path);
		json_decref(flat);
		json_decref(tree);
		json_decref(policy);
		json_decref(want);
		ns_conf_release(&c);
	}
}

/* JSON is YAML: what is written as the one is read as the other, and is the same. */
static void yaml_reads_what_json_writes(void **state)
{
	uint64_t s = 8;
	int round;

	(void)state;
	for (round = 0; round < 2000; round++) {
		json_t *value = json_pack("{s:o}", "top", draw_value(&s, 0)), *back = NULL;
		size_t flags = (draw(&s) & 1 ? JSON_INDENT(2) : JSON_COMPACT) | (draw(&s) & 1 ? JSON_ENSURE_ASCII : 0);
		char *text = json_dumps(value, JSON_REAL_PRECISION(17) | flags);

		assert_non_null(text);
		if (ns_yaml_parse(&back, text, strlen(text), "here") != NS_OK)
			fail_msg("%s: %s", ns_message(), text);
		if (!json_equal(value, back))
			fail_msg("%s became %s", text, json_dumps(back, JSON_REAL_PRECISION(17)));
		free(text);
		json_decref(value);
		json_decref(back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(permutation_is_bijective),
					   cmocka_unit_test(permutation_is_invertible_at_any_size),
					   cmocka_unit_test(permutation_has_known_values),
					   cmocka_unit_test(permutations_differ),
					   cmocka_unit_test(tree_has_the_same_bits_on_any_ranks),
					   cmocka_unit_test(subtrees_tile_any_cut),
					   cmocka_unit_test(shares_and_slices_cover),
					   cmocka_unit_test(merge_is_idempotent_and_later_wins),
					   cmocka_unit_test(policy_stays_below_what_was_given),
					   cmocka_unit_test(yaml_reads_what_json_writes)};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
