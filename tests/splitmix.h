/* tests/splitmix.h - the tests' own generator (splitmix64), so that a fault in the product's cannot choose what it is tested on. */
#ifndef NST_SPLITMIX_H
#define NST_SPLITMIX_H

#include <stdint.h>

static inline uint64_t draw(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t below(uint64_t *s, uint64_t n)
{
	return draw(s) % n;
}

#endif
