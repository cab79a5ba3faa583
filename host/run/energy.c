/* host/run/energy.c - a node's energy counters; file names and units: Documentation/power/powercap/powercap.rst of Linux */
#include "host/run/run.h"

#include <inttypes.h>
#include <stdio.h>

static int read_number(const char *folder, int package, const char *name, int64_t *value)
{
	char path[512];
	int found;
	FILE *f;

	snprintf(path, sizeof path, "%.400s/intel-rapl:%d/%s", folder, package, name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	found = fscanf(f, "%" SCNd64, value) == 1;
	fclose(f);
	return found;
}

void ns_energy_read(struct ns_energy *e, const char *folder)
{
	e->count = 0;
	while (e->count < NS_ENERGY_PACKAGES && read_number(folder, e->count, "energy_uj", &e->uj[e->count]) &&
	       read_number(folder, e->count, "max_energy_range_uj", &e->range[e->count]))
		e->count++;
}

int64_t ns_energy_between(const struct ns_energy *before, const struct ns_energy *after)
{
	int64_t sum = 0, d;
	int i;

	if (!before->count || before->count != after->count)
		return -1;
	for (i = 0; i < before->count; i++) {
		d = after->uj[i] - before->uj[i];
		sum += d < 0 ? d + after->range[i] : d;
	}
	return sum;
}
