/* jobs/evaluate/judged.c - answers and what people said of their rows, row by row. */
#include <stdlib.h>
#include <string.h>

#include "jobs/answer/answer.h"
#include "jobs/evaluate/evaluate_inner.h"

static enum ns_status text_of(const char *bytes, size_t n, const char *what, int64_t row, json_t **json)
{
	json_error_t error;

	*json = n ? json_loadb(bytes, n, 0, &error) : NULL;
	return *json || !n ? NS_OK : ns_fail(NS_BAD_DATA, "row %lld: its %s is no JSON: %s", (long long)row, what, error.text);
}

/* What people said of a row, and what the model did; *truth NULL: nobody said anything. The caller releases both. */
static enum ns_status read_row(const struct ns_judged *r, int64_t row, json_t **truth, json_t **answer)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(r->data, row, &i);
	const struct ns_rows *rows = &s->rows;
	uint64_t from = r->p->result_offset[row], to = r->p->result_offset[row + 1];
	enum ns_status status;
	const json_t *said;

	*truth = *answer = NULL;
	if (r->p->id[row] != rows->id[i])
		return ns_fail(NS_BAD_DATA, "row %lld: the predictions are of another image than %s has there", (long long)row, s->path);
	if (!rows->annotation_offset)
		return NS_OK;
	NS_TRY(text_of((const char *)rows->annotation + rows->annotation_offset[i],
		       (size_t)(rows->annotation_offset[i + 1] - rows->annotation_offset[i]), "annotation", row, truth));
	status = text_of(r->p->result + from, (size_t)(to - from), "answer", row, answer);
	said = json_object_get(*truth, r->member);
	if (status == NS_OK && *truth && (!said || json_is_null(said))) { /* nobody said anything of it */
		json_decref(*truth);
		*truth = NULL;
	} else if (status == NS_OK && *truth && json_typeof(said) != r->measure->type) {
		status = ns_fail(NS_BAD_DATA, "%s: row %lld: its annotation's member '%s' is not what it should be: expected %s", s->path,
				 (long long)i, r->member, r->measure->expected);
	}
	return status;
}

void ns_judged_put(json_t *json, const char *name, double value)
{
	json_object_set_new(json, name, ns_json_real(value));
}

void ns_judged_rows(const struct ns_judged *r, int64_t rows)
{
	json_object_set_new(r->json, "rows", json_integer(r->p->rows));
	json_object_set_new(r->json, "labelled", json_integer(rows));
}

/* Of each row that people spoke of: what they said, and what the model did. None at all is an error, unless it is an answer. */
enum ns_status ns_judged_each(const struct ns_judged *r, ns_judged_row *take, void *to)
{
	enum ns_status status = NS_OK;
	json_t *truth, *answer;
	int64_t row, n = 0;

	for (row = 0; status == NS_OK && row < r->p->rows; row++) {
		status = read_row(r, row, &truth, &answer);
		if (status == NS_OK && truth) {
			status = take(r, row, truth, answer, to);
			n++;
		}
		json_decref(truth);
		json_decref(answer);
	}
	NS_TRY(status);
	ns_judged_rows(r, n);
	if (n || r->empty)
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "%s: no row's annotation has a member '%s' that says what its answer should be; evaluate.truth names another",
		       r->data->path, r->member);
}

int ns_judged_class(const struct ns_predictions *p, const char *name)
{
	return ns_said_class(p->names, p->class_names, name);
}

double ns_judged_item(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}
