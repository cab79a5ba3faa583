/* tests/host/test_sha256.c - digests of many messages at once beside libcrypto's of each: every length across the edges of blocks, in any order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "host/base/base_inner.h"
#include "kernels/formula/random.h"

enum { LONGEST = 300, MOST = 64, ROOM = 40000 };

static uint8_t bytes[ROOM];

static int fill(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ROOM; i++)
		bytes[i] = (uint8_t)ns_draw_u64(7, NS_FOR_SPLIT, 0, i);
	return 0;
}

/* lengths of data and of tail, of n messages; what stands around the digests stays as it is */
static void compare(const size_t *length, const size_t *tail, int n)
{
	struct ns_sha256_message messages[MOST];
	unsigned char found[MOST + 1][32], wanted[32];
	int i;

	memset(found, 0x5a, sizeof found);
	for (i = 0; i < n; i++) /* at any address, not only at multiples of 16 */
		messages[i] = (struct ns_sha256_message){bytes + i, bytes + 1000 + 3 * i, length[i], tail[i], found[i]};
	assert_int_equal(ns_sha256_many(messages, n), NS_OK);
	for (i = 0; i < n; i++) {
		assert_int_equal(ns_sha256_concat(wanted, messages[i].data, length[i], messages[i].tail, tail[i]), NS_OK);
		assert_memory_equal(found[i], wanted, 32);
	}
	memset(wanted, 0x5a, sizeof wanted);
	assert_memory_equal(found[n], wanted, 32);
}

/* alone, and beside one that is shorter, longer or as long, in both orders */
static void all_lengths(void **state)
{
	static const size_t others[] = {0, 55, 56, 64, 119, 300, 5000};
	size_t none[2] = {0, 0}, a, b;

	(void)state;
	for (a = 0; a <= LONGEST; a++) {
		compare(&a, none, 1);
		for (b = 0; b < sizeof others / sizeof *others; b++) {
			size_t one[2] = {a, others[b]}, other[2] = {others[b], a};

			compare(one, none, 2);
			compare(other, none, 2);
		}
	}
}

static void all_tails(void **state)
{
	size_t a, t;

	(void)state;
	for (a = 0; a <= 130; a++)
		for (t = 0; t <= NS_SHA256_TAIL; t++) {
			size_t length[2] = {a, 130 - a}, tail[2] = {t, NS_SHA256_TAIL - t};

			compare(length, tail, 2);
		}
}

static void any_number(void **state)
{
	size_t length[MOST], tail[MOST];
	uint64_t i;
	uint32_t round;
	int n;

	(void)state;
	for (round = 0; round < 50; round++)
		for (n = 0; n <= MOST; n += 1 + n / 4) {
			for (i = 0; i < (uint64_t)n; i++) {
				length[i] = (size_t)(ns_draw_u64(1, NS_FOR_SPLIT, round, i) % (i % 5 ? 2000 : 30000));
				tail[i] = (size_t)(ns_draw_u64(2, NS_FOR_SPLIT, round, i) % (NS_SHA256_TAIL + 1));
			}
			compare(length, tail, n);
		}
}

/* FIPS 180-4: a digest that no other code here has made; and nothing at all */
static void known_digests(void **state)
{
	static const unsigned char abc[4] = {0xba, 0x78, 0x16, 0xbf}, nothing[4] = {0xe3, 0xb0, 0xc4, 0x42};
	unsigned char found[2][32];
	struct ns_sha256_message both[2] = {{"ab", "c", 2, 1, found[0]}, {NULL, NULL, 0, 0, found[1]}};

	(void)state;
	assert_int_equal(ns_sha256_many(both, 2), NS_OK);
	assert_memory_equal(found[0], abc, 4);
	assert_memory_equal(found[1], nothing, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_lengths), cmocka_unit_test(all_tails), cmocka_unit_test(any_number),
					   cmocka_unit_test(known_digests)};

	if (!ns_sha256_is_built_in())
		print_message("this processor has no SHA instructions: libcrypto beside libcrypto\n");
	return cmocka_run_group_tests(tests, fill, NULL);
}
