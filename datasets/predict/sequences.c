/* datasets/predict/sequences.c - rows that were taken one after the other. */
#include "datasets/predict/predict.h"

#include <stdlib.h>

struct moment {
	int32_t group;
	int64_t time, row;
};

static int by_time(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

int64_t ns_time_divisor(const int64_t *time, int64_t rows)
{
	int64_t divisor = 1, most = 0, i;

	for (i = 0; i < rows; i++)
		most = time[i] > most ? time[i] : most;
	while (most / divisor > 100000000000)
		divisor *= 1000;
	return divisor;
}

enum ns_status ns_predictions_sequences(const struct ns_predictions *p, double seconds, int32_t **block, int64_t *count)
{
	*block = NULL;
	*count = 0;
	if (!(seconds > 0))
		return NS_OK;
	if (!p->group || !p->time)
		return ns_fail(NS_BAD_DATA, "drift.sequence_seconds = %g needs the columns group and time", seconds);
	return ns_sequences(p->group, p->time, p->rows, seconds, block, count);
}

enum ns_status ns_sequences(const int32_t *group, const int64_t *time, int64_t rows, double seconds, int32_t **block, int64_t *count)
{
	struct moment *m = malloc(sizeof *m * (size_t)(rows + 1));
	int64_t divisor = ns_time_divisor(time, rows), i;

	*block = malloc(sizeof **block * (size_t)(rows + 1));
	*count = 0;
	if (!m || !*block) {
		free(m);
		return ns_fail(NS_NO_MEMORY, "out of memory for the order of %lld rows", (long long)rows);
	}
	for (i = 0; i < rows; i++)
		m[i] = (struct moment){group[i], time[i] / divisor, i};
	qsort(m, (size_t)rows, sizeof *m, by_time);
	for (i = 0; i < rows; i++) {
		if (i == 0 || m[i].group != m[i - 1].group || (double)(m[i].time - m[i - 1].time) > seconds)
			++*count;
		(*block)[m[i].row] = (int32_t)(*count - 1);
	}
	free(m);
	return NS_OK;
}
