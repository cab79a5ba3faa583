/*
 * host/energy.h - what a node's processors have drawn, where the kernel tells (Linux powercap, RAPL packages). It is the
 * whole node's, whoever works there.
 */
#ifndef NS_ENERGY_H
#define NS_ENERGY_H

#include <stdint.h>

#define NS_ENERGY_FOLDER "/sys/class/powercap"
#define NS_ENERGY_PACKAGES 16

struct ns_energy {
	int count; /* packages that can be read; 0: unknown */
	int64_t uj[NS_ENERGY_PACKAGES], range[NS_ENERGY_PACKAGES];
};

/* Read all counters under `folder`. */
void ns_energy_read(struct ns_energy *energy, const char *folder);
/* Microjoules between two readings, with at most one wrap of each counter; -1: unknown. */
int64_t ns_energy_between(const struct ns_energy *before, const struct ns_energy *after);

#endif
