/* tests/year/year.h - what parts of the simulated years share: one generator, and bounds on what was found. */
#ifndef NST_YEAR_H
#define NST_YEAR_H

#include <stdint.h>

extern uint64_t year_seed;
extern int year_failed;

double year_uniform(void);
double year_normal(void);
int year_by_int(const void *a, const void *b);
/* A bound on what a simulation has found, give or take two and a half of its standard errors. */
void year_bound(const char *what, double found, double error, double low, double high);

/* labels.c: so many sites a line */
void year_harm(int years);
void year_guarded(int years);
void year_gate(int years);

#endif
