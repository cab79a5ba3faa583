/*
 * jobs/curate/select.c - the query of a manifest, which selects a retraining's rows: run when the manifest is written and again before it is executed.
 */
#include "jobs/curate/curate.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

static const char *const rules[] = {
	"replay: first rows of the keyed permutation of dataset 0 that share no identity with the gate's half of dataset 1; "
	"audited: labelled rows of dataset 1 that are not the gate's half; to_label: its other rows, less any that share an "
	"identity with the gate's; earlier: labelled rows of the other datasets in their order, each in its keyed permutation, of identities that none before has; "
	"rows of one group whose times follow within `sequence_seconds` are in one half, and what is of the gate's is in no other part",
	/* a manifest that was written under a former one is executed under it */
	"replay: first rows of the keyed permutation of dataset 0 that share no identity with the gate's half of dataset 1; "
	"audited: labelled rows of dataset 1 that are not the gate's half; to_label: its other rows, less any that share an "
	"identity with the gate's",
	"replay: first rows of the keyed permutation of dataset 0; audited: labelled rows of dataset 1 that are not the "
	"gate's half; to_label: its other rows, less any that share an identity with the gate's",
};
enum { RULES = sizeof rules / sizeof *rules, FORMER = 2 /* old rows may be the gate's, too */ };

static json_t *plain_json(const struct ns_query *q)
{
	return json_pack("{s:I, s:I, s:I, s:s}", "seed", (json_int_t)q->seed, "replay", (json_int_t)q->replay, "audited_repeat",
			 (json_int_t)q->audited_repeat, "rule", rules[q->rule]);
}

json_t *ns_query_json(const struct ns_query *q)
{
	json_t *json = plain_json(q);

	if (json && !q->rule)
		json_object_update_new(json, json_pack("{s:I, s:f}", "earlier", (json_int_t)q->earlier, "sequence_seconds", q->sequence_seconds));
	if (json && *q->labels)
		json_object_set_new(json, "labels", json_string(q->labels));
	return json;
}

enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path)
{
	const json_t *seed = json_object_get(json, "seed"), *replay = json_object_get(json, "replay"),
		     *repeat = json_object_get(json, "audited_repeat");
	int rule;

	if (!json_is_integer(seed) || !json_is_integer(replay) || !json_is_integer(repeat) || json_integer_value(seed) < 0 ||
	    json_integer_value(replay) < 0 || json_integer_value(repeat) < 1 || json_integer_value(repeat) > 64)
		return ns_fail(NS_BAD_DATA, "%s: data.query: expected whole numbers: seed and replay of at least 0, audited_repeat of 1 to 64", path);
	for (rule = 0; rule < RULES && strcmp(ns_json_text(json, "rule"), rules[rule]); rule++)
		;
	if (rule == RULES)
		return ns_fail(NS_BAD_DATA, "%s: data.query.rule: unknown to this version; run drift again for a new manifest", path);
	*q = (struct ns_query){.seed = (uint64_t)json_integer_value(seed),
			       .replay = json_integer_value(replay),
			       .audited_repeat = json_integer_value(repeat),
			       .rule = rule};
	if (!rule) {
		NS_TRY(ns_json_get_int(json, "earlier", path, 0, INT64_MAX, &q->earlier));
		NS_TRY(ns_json_get_real(json, "sequence_seconds", path, &q->sequence_seconds));
	}
	if (*ns_json_text(json, "labels") && !ns_is_sha256(ns_json_text(json, "labels")))
		return ns_fail(NS_BAD_DATA, "%s: data.query.labels: expected a digest", path);
	snprintf(q->labels, sizeof q->labels, "%s", ns_json_text(json, "labels"));
	return NS_OK;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void selection_put(struct ns_selection *s, uint32_t set, int64_t row, uint64_t id, int32_t label, uint8_t source, uint32_t repeat)
{
	int64_t i = s->rows++;

	s->set[i] = set;
	s->row[i] = (uint64_t)row;
	s->id[i] = id;
	s->label[i] = label;
	s->source[i] = source;
	s->repeat[i] = repeat;
}

/* ids and labels of the window's rows, and which of them the gate will use */
struct window {
	uint64_t *id, *gate_ids;
	int32_t *label;
	uint8_t *gate;
	int64_t gates;
	int32_t *block;	      /* sequences; NULL: each row for itself */
	uint8_t *gate_blocks; /* which of them are the gate's */
};

static void window_release(struct window *w)
{
	free(w->id);
	free(w->gate_ids);
	free(w->label);
	free(w->gate);
	free(w->block);
	free(w->gate_blocks);
}

/* Groups of all rows by the numbers of one list (each shard has its own), and their times. */
static enum ns_status read_moments(const struct ns_dataset *d, int32_t *group, int64_t *time)
{
	struct ns_vocabulary names = {0};
	enum ns_status status = NS_OK;
	int64_t row, at;

	for (row = 0; status == NS_OK && row < d->rows;) {
		const struct ns_shard *s = ns_dataset_at(d, row, &at);
		const struct ns_rows *r = &s->rows;

		if (!r->group || !r->time)
			status = ns_fail(NS_BAD_DATA, "%s: drift.sequence_seconds needs the columns group and time", s->path);
		if (status != NS_OK)
			break;
		memcpy(group + row, r->group, sizeof *group * (size_t)r->rows);
		memcpy(time + row, r->time, sizeof *time * (size_t)r->rows);
		if (s->head.group_count)
			status = ns_vocabulary_map(&names, s->head.groups, s->head.group_count, group + row, r->rows);
		row += r->rows;
	}
	ns_vocabulary_release(&names);
	return status;
}

static enum ns_status find_sequences(struct window *w, const struct ns_dataset *d, double seconds)
{
	int32_t *group = malloc(sizeof *group * (size_t)(d->rows + 1));
	int64_t *time = malloc(sizeof *time * (size_t)(d->rows + 1)), blocks = 0;
	enum ns_status status = group && time ? read_moments(d, group, time)
					      : ns_fail(NS_NO_MEMORY, "out of memory for the sequences of %lld rows", (long long)d->rows);

	if (status == NS_OK)
		status = ns_sequences(group, time, d->rows, seconds, &w->block, &blocks);
	free(group);
	free(time);
	NS_TRY(status);
	w->gate_blocks = calloc((size_t)blocks + 1, 1);
	return w->gate_blocks ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the sequences of %lld rows", (long long)d->rows);
}

/* The training data's class of that name; -1: it has none. */
static int32_t class_of(const struct ns_dataset *replay, const char *name)
{
	const struct ns_shard_head *head = ns_dataset_head(replay);
	int k;

	for (k = 0; name && k < head->class_count; k++)
		if (!strcmp(head->classes[k], name))
			return k;
	return -1;
}

/* The class that people agree on for an image, and whether it was drawn to measure; -1: none of the training data's. */
static int32_t said(const struct ns_query *q, const struct ns_dataset *replay, uint64_t id, int *measures)
{
	int disputed;

	return class_of(replay, q->people ? ns_labels_of(q->people, id, &disputed, measures) : NULL);
}

/* The gate's half is one of the labels that measure, as drift and evaluate know them; those that teach are for the training alone. */
static enum ns_status look(struct window *w, const struct ns_dataset *replay, const struct ns_dataset *current, const struct ns_query *q)
{
	int64_t n = current->rows, i;
	int32_t people;
	int measures;

	*w = (struct window){.id = malloc(sizeof *w->id * (size_t)(n + 1)),
			     .gate_ids = malloc(sizeof *w->gate_ids * (size_t)(n + 1)),
			     .label = malloc(sizeof *w->label * (size_t)(n + 1))};
	for (i = 0; w->id && w->label && i < n; i++) {
		w->id[i] = ns_dataset_id(current, i);
		w->label[i] = ns_dataset_label(current, i);
		people = w->label[i] < 0 ? said(q, replay, w->id[i], &measures) : -1;
		w->label[i] = people >= 0 && measures ? people : w->label[i];
	}
	if (q->sequence_seconds > 0)
		NS_TRY(find_sequences(w, current, q->sequence_seconds));
	w->gate = w->id && w->label && w->gate_ids ? ns_gate_rows(w->id, w->label, w->block, n, q->seed) : NULL;
	if (!w->gate)
		return ns_fail(NS_NO_MEMORY, "out of memory for a selection from %lld rows", (long long)n);
	for (i = 0; i < n; i++) {
		if (!w->gate[i])
			continue;
		w->gate_ids[w->gates++] = w->id[i];
		if (w->block)
			w->gate_blocks[w->block[i]] = 1;
	}
	for (i = 0; i < n; i++)
		w->label[i] = w->label[i] < 0 ? said(q, replay, w->id[i], &measures) : w->label[i];
	qsort(w->gate_ids, (size_t)w->gates, sizeof *w->gate_ids, by_id);
	return NS_OK;
}

/* is it an image that the gate will judge by? To train on it would be to know the answer */
static int is_gates(const struct window *w, uint64_t id)
{
	return bsearch(&id, w->gate_ids, (size_t)w->gates, sizeof *w->gate_ids, by_id) != NULL;
}

/* --- earlier windows --- */

struct ids { /* a set of identities: open addressing */
	uint64_t *slot;
	uint8_t *used;
	uint64_t mask;
};

static enum ns_status ids_make(struct ids *s, int64_t most)
{
	uint64_t n = 16;

	while (n < 2 * (uint64_t)most)
		n *= 2;
	*s = (struct ids){malloc(n * sizeof *s->slot), calloc(n, 1), n - 1};
	return s->slot && s->used ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the identities of %lld rows", (long long)most);
}

/* Returns whether it is new. */
static int ids_add(struct ids *s, uint64_t id)
{
	uint64_t at = (id * 0x9e3779b97f4a7c15u >> 20) & s->mask;

	for (; s->used[at]; at = (at + 1) & s->mask)
		if (s->slot[at] == id)
			return 0;
	s->used[at] = 1;
	s->slot[at] = id;
	return 1;
}

/* Its own label comes first, by its class's name: classes may stand in another order there. */
static int32_t earlier_label(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *d, int64_t row)
{
	const struct ns_shard_head *head = ns_dataset_head(d);
	int32_t label = ns_dataset_label(d, row);
	int measures;

	if (label >= 0)
		return label < head->class_count ? class_of(replay, head->classes[label]) : -1;
	return said(q, replay, ns_dataset_id(d, row), &measures);
}

int64_t ns_query_labelled(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *earlier)
{
	int64_t i, n = 0;

	for (i = 0; i < earlier->rows; i++)
		n += earlier_label(q, replay, earlier, i) >= 0;
	return n;
}

/* most: of their rows that can be taken */
static enum ns_status take_earlier(const struct ns_query *q, struct ns_dataset *const *sets, int set_count, int64_t most, const struct window *w,
				   struct ns_selection *s, struct ns_selected *count)
{
	struct ids seen;
	int64_t i;
	int k;
	enum ns_status status = ids_make(&seen, s->rows + sets[1]->rows + most);

	for (i = 0; status == NS_OK && i < s->rows; i++)
		(void)ids_add(&seen, s->id[i]);
	for (i = 0; status == NS_OK && i < sets[1]->rows; i++) /* the gate's among them */
		(void)ids_add(&seen, w->id[i]);
	for (k = 2; status == NS_OK && k < set_count; k++) {
		int64_t n = sets[k]->rows;

		for (i = 0; i < n && count->earlier < most; i++) {
			int64_t row = (int64_t)ns_permute((uint64_t)i, (uint64_t)n, q->seed, NS_FOR_SPLIT, (uint32_t)k);
			uint64_t id = ns_dataset_id(sets[k], row);
			int32_t label = earlier_label(q, sets[0], sets[k], row);

			if (label < 0 || !ids_add(&seen, id))
				continue;
			selection_put(s, (uint32_t)k, row, id, label, NS_LABEL_HUMAN, (uint32_t)q->audited_repeat);
			count->earlier++;
		}
	}
	free(seen.slot);
	free(seen.used);
	return status;
}

enum ns_status ns_query_run(const struct ns_query *q, struct ns_dataset *const *sets, int set_count, struct ns_selection *s,
			    struct ns_selected *count)
{
	const struct ns_dataset *replay = sets[0], *current = sets[1];
	int64_t want = q->replay < replay->rows ? q->replay : replay->rows, more = 0, i;
	struct window w;
	enum ns_status status = look(&w, replay, current, q);
	int k;

	memset(count, 0, sizeof *count);
	for (k = 2; k < set_count; k++)
		more += sets[k]->rows;
	more = more < q->earlier ? more : q->earlier;
	if (status == NS_OK)
		status = ns_selection_alloc(s, want + current->rows + more);
	if (status != NS_OK)
		goto out;
	s->rows = 0;
	for (i = 0; i < replay->rows && count->replayed < want; i++) {
		int64_t row = (int64_t)ns_permute((uint64_t)i, (uint64_t)replay->rows, q->seed, NS_FOR_SPLIT, 1);

		if (q->rule != FORMER && is_gates(&w, ns_dataset_id(replay, row)))
			continue;
		selection_put(s, 0, row, ns_dataset_id(replay, row), ns_dataset_label(replay, row), NS_LABEL_HUMAN, 1);
		count->replayed++;
	}
	for (i = 0; i < current->rows; i++) {
		if (w.gate[i] || is_gates(&w, w.id[i]) || (w.block && w.gate_blocks[w.block[i]])) {
			count->excluded++;
		} else if (w.label[i] >= 0) {
			selection_put(s, 1, i, w.id[i], w.label[i], NS_LABEL_HUMAN, (uint32_t)q->audited_repeat);
			count->audited++;
		} else {
			selection_put(s, 1, i, w.id[i], -1, NS_LABEL_MODEL, 1);
			count->pool++;
		}
	}
	if (set_count > 2)
		status = take_earlier(q, sets, set_count, more, &w, s, count);
out:
	window_release(&w);
	return status;
}

/* Index of the first row in which two selections differ; -1: none. */
static int64_t first_difference(const struct ns_selection *a, const struct ns_selection *b)
{
	int64_t i, n = a->rows < b->rows ? a->rows : b->rows;

	for (i = 0; i < n; i++)
		if (a->set[i] != b->set[i] || a->row[i] != b->row[i] || a->id[i] != b->id[i] || a->label[i] != b->label[i] ||
		    a->source[i] != b->source[i] || a->repeat[i] != b->repeat[i])
			return i;
	return a->rows == b->rows ? -1 : n;
}

enum ns_status ns_query_check(const struct ns_query *q, struct ns_dataset *const *sets, int set_count, const struct ns_selection *s)
{
	struct ns_selection again = {0};
	struct ns_selected count;
	enum ns_status status = ns_query_run(q, sets, set_count, &again, &count);
	int64_t at = status == NS_OK ? first_difference(s, &again) : -1;

	if (at >= 0)
		status = ns_fail(NS_DIGEST, "selection.h5: row %lld of %lld is not what data.query selects, which selects %lld rows", (long long)at,
				 (long long)s->rows, (long long)again.rows);
	ns_selection_release(&again);
	return status;
}
