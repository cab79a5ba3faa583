/*
 * kernels/formula/random.h - randomness as a function of identity.
 *
 * Philox (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC11). What is drawn
 * depends on (seed, domain, epoch, sample id, draw) and on nothing else: not on rank, thread, batch or time.
 */
#ifndef NS_FORMULA_RANDOM_H
#define NS_FORMULA_RANDOM_H

#include "kernels/formula/inline.h"

struct ns_philox {
	uint32_t v[4];
};

NS_FORMULA struct ns_philox ns_philox4x32(struct ns_philox ctr, uint32_t k0, uint32_t k1)
{
	int i;

	for (i = 0; i < 10; i++) {
		uint64_t a = (uint64_t)0xD2511F53u * ctr.v[0], b = (uint64_t)0xCD9E8D57u * ctr.v[2];
		struct ns_philox next;

		next.v[0] = (uint32_t)(b >> 32) ^ ctr.v[1] ^ k0;
		next.v[1] = (uint32_t)b;
		next.v[2] = (uint32_t)(a >> 32) ^ ctr.v[3] ^ k1;
		next.v[3] = (uint32_t)a;
		ctr = next;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return ctr;
}

NS_FORMULA uint64_t ns_philox2x32(uint32_t c0, uint32_t c1, uint32_t key)
{
	int i;

	for (i = 0; i < 10; i++) {
		uint64_t p = (uint64_t)0xD256D193u * c0;

		c0 = (uint32_t)(p >> 32) ^ key ^ c1;
		c1 = (uint32_t)p;
		key += 0x9E3779B9u;
	}
	return (uint64_t)c1 << 32 | c0;
}

/* What a draw is for: the upper bits of the epoch word keep purposes apart. */
enum ns_domain {
	NS_FOR_AUGMENT = 0,
	NS_FOR_SHUFFLE,
	NS_FOR_INIT,
	NS_FOR_SPLIT,
	NS_FOR_AUDIT,
	NS_FOR_PERMUTE,
	NS_FOR_BOOTSTRAP,
	NS_FOR_PROJECT,
	NS_FOR_NOISE
};

/* 128 random bits for draw number `draw` of sample `id` in `epoch` (below 2^24). */
NS_FORMULA struct ns_philox ns_draw(uint64_t seed, enum ns_domain domain, uint32_t epoch, uint64_t id, uint32_t draw)
{
	struct ns_philox ctr;

	ctr.v[0] = (uint32_t)id;
	ctr.v[1] = (uint32_t)(id >> 32);
	ctr.v[2] = (uint32_t)domain << 24 | (epoch & 0xffffff);
	ctr.v[3] = draw;
	return ns_philox4x32(ctr, (uint32_t)seed, (uint32_t)(seed >> 32));
}

NS_FORMULA uint64_t ns_draw_u64(uint64_t seed, enum ns_domain domain, uint32_t epoch, uint64_t id)
{
	struct ns_philox r = ns_draw(seed, domain, epoch, id, 0);

	return (uint64_t)r.v[1] << 32 | r.v[0];
}

/* [0, 1), 32 bits of it */
NS_FORMULA double ns_uniform(uint32_t bits)
{
	return bits * (1.0 / 4294967296.0);
}

/*
 * The `index`-th entry of a keyed permutation of 0..n-1, in constant memory: a Feistel network of six rounds
 * over the smallest even number of bits that holds n, applied again until the result is below n (cycle walking: Black, Rogaway 2002).
 */
NS_FORMULA uint64_t ns_permute(uint64_t index, uint64_t n, uint64_t seed, enum ns_domain domain, uint32_t epoch)
{
	struct ns_philox key;
	unsigned half = 1;
	uint64_t mask;

	if (n < 2)
		return 0;
	key = ns_draw(seed, domain, epoch, ~(uint64_t)0, 0);
	while (half < 32 && (uint64_t)1 << (2 * half) < n)
		half++;
	mask = ((uint64_t)1 << half) - 1;
	do {
		uint64_t left = index >> half, right = index & mask;
		uint32_t round;

		for (round = 0; round < 6; round++) {
			uint64_t f = ns_philox2x32((uint32_t)right, round ^ key.v[1], key.v[0]) & mask;
			uint64_t t = left ^ f;

			left = right;
			right = t;
		}
		index = left << half | right;
	} while (index >= n);
	return index;
}

/* Sum of 8 random bytes around 0: mean 0, standard deviation 209.0, nearly normal within 3.5 deviations. */
NS_FORMULA int32_t ns_noise_bytes(uint64_t key, uint32_t index)
{
	uint64_t r = ns_philox2x32(index, (uint32_t)(key >> 32), (uint32_t)key);
	uint64_t even = r & 0x00ff00ff00ff00ffu, odd = (r >> 8) & 0x00ff00ff00ff00ffu, sum = even + odd;

	sum += sum >> 32;
	sum += sum >> 16;
	return (int32_t)(sum & 0xffff) - 1020;
}

#endif
