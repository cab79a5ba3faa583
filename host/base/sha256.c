/*
 * host/base/sha256.c - SHA-256 (FIPS 180-4) of two messages at once, by the SHA instructions of x86. Each of a message's 32 double rounds waits
 * for the one before, some four cycles, in which the other message's fits; so two take little longer than one.
 */
#include <string.h>

#include "host/base/base_inner.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define BLOCK 64
#define LANES 2

struct lane {
	__m128i abef, cdgh; /* the state, as the instructions want it */
	const uint8_t *at;
	size_t blocks, end_blocks; /* whole ones at `at`; in `end`, which come behind them */
	uint8_t end[3 * BLOCK];	   /* what is left of data, tail, padding and length: at most 63 + NS_SHA256_TAIL + 9 bytes */
	unsigned char *digest;
};

/* the first 32 bits of the fractions of the cube roots of the first 64 primes */
static const uint32_t rounds[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
	0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
	0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

int ns_sha256_is_built_in(void)
{
#if defined(__SHA__) && defined(__SSE4_1__) /* the build is for such processors, which the program has checked */
	return 1;
#else
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
		return 0;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
#endif
}

#define BUILT_IN __attribute__((target("sha,sse4.1,ssse3")))

/* So many blocks of each of 1 or 2 lanes; the count of lanes is known where it is compiled, and all is held in registers. */
BUILT_IN static inline __attribute__((always_inline)) void compress(struct lane *const *lanes, int count, size_t blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i abef[LANES], cdgh[LANES], w[LANES][4];
	size_t b;
	int i, l;

	for (b = 0; b < blocks; b++) {
		for (l = 0; l < count; l++) {
			abef[l] = lanes[l]->abef;
			cdgh[l] = lanes[l]->cdgh;
			for (i = 0; i < 4; i++)
				w[l][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)lanes[l]->at + i), swap);
			lanes[l]->at += BLOCK;
		}
#pragma GCC unroll 16
		for (i = 0; i < 16; i++)
			for (l = 0; l < count; l++) {
				__m128i *word = w[l],
					k = _mm_add_epi32(word[i & 3], _mm_loadu_si128((const __m128i *)(const void *)(rounds + 4 * i)));

				cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], k);
				abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(k, 0x0e));
				if (i < 12) /* the four words of 16 rounds later */
					word[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(word[i & 3], word[(i + 1) & 3]),
											 _mm_alignr_epi8(word[(i + 3) & 3], word[(i + 2) & 3], 4)),
									   word[(i + 3) & 3]);
			}
		for (l = 0; l < count; l++) {
			lanes[l]->abef = _mm_add_epi32(lanes[l]->abef, abef[l]);
			lanes[l]->cdgh = _mm_add_epi32(lanes[l]->cdgh, cdgh[l]);
		}
	}
	for (l = 0; l < count; l++)
		lanes[l]->blocks -= blocks;
}

BUILT_IN static void compress_one(struct lane *a)
{
	compress(&a, 1, a->blocks);
}

BUILT_IN static void compress_two(struct lane *a, struct lane *b)
{
	struct lane *both[LANES] = {a, b};

	compress(both, LANES, a->blocks < b->blocks ? a->blocks : b->blocks);
}

static void begin(struct lane *l, const struct ns_sha256_message *m)
{
	uint64_t bits = 8 * (uint64_t)(m->bytes + m->tail_bytes);
	size_t rest = m->bytes % BLOCK, end = rest + m->tail_bytes;
	int i;

	/* the fractions of the square roots of the first 8 primes */
	l->abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
	l->cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
	l->at = m->data;
	l->blocks = m->bytes / BLOCK;
	l->end_blocks = (end + 1 + 8 + BLOCK - 1) / BLOCK;
	l->digest = m->digest;
	memset(l->end, 0, sizeof l->end);
	if (rest)
		memcpy(l->end, l->at + l->blocks * BLOCK, rest);
	if (m->tail_bytes)
		memcpy(l->end + rest, m->tail, m->tail_bytes);
	l->end[end] = 0x80;
	for (i = 0; i < 8; i++)
		l->end[l->end_blocks * BLOCK - 1 - (size_t)i] = (uint8_t)(bits >> 8 * i);
}

static void end(struct lane *l)
{
	uint32_t x[4], y[4], word[8];
	int i;

	memcpy(x, &l->abef, sizeof x);
	memcpy(y, &l->cdgh, sizeof y);
	for (i = 0; i < 2; i++) {
		word[i] = x[3 - i];
		word[i + 2] = y[3 - i];
		word[i + 4] = x[1 - i];
		word[i + 6] = y[1 - i];
	}
	for (i = 0; i < 32; i++)
		l->digest[i] = (unsigned char)(word[i / 4] >> (24 - 8 * (i % 4)));
}

/* Has the lane blocks to do, after the next of n messages was begun in it where one was ended? */
static int refill(struct lane *l, const struct ns_sha256_message *messages, int n, int *next)
{
	while (!l->blocks && (l->end_blocks || l->digest || *next < n)) {
		if (l->end_blocks) {
			l->at = l->end;
			l->blocks = l->end_blocks;
			l->end_blocks = 0;
			continue;
		}
		if (l->digest)
			end(l);
		l->digest = NULL;
		if (*next < n)
			begin(l, &messages[(*next)++]);
	}
	return l->blocks > 0;
}

void ns_sha256_lanes(const struct ns_sha256_message *messages, int n)
{
	struct lane lane[LANES] = {0};
	int next = 0, first, second;

	for (;;) {
		first = refill(&lane[0], messages, n, &next);
		second = refill(&lane[1], messages, n, &next);
		if (!first && !second)
			return;
		if (first && second)
			compress_two(&lane[0], &lane[1]);
		else
			compress_one(&lane[first ? 0 : 1]);
	}
}
#else
int ns_sha256_is_built_in(void)
{
	return 0;
}

void ns_sha256_lanes(const struct ns_sha256_message *messages, int n)
{
	(void)messages;
	(void)n;
}
#endif
