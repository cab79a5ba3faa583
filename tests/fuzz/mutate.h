/*
 * tests/fuzz/mutate.h - changes that know the format: a target's own function changes a field, and makes the checksums right again, where
 * libFuzzer's blind changes would be refused at the first of them.
 *
 * The same functions serve libFuzzer (fuzz.sh) and the program that the sanitizers' half of the tests runs (drive.c).
 */
#ifndef NS_FUZZ_MUTATE_H
#define NS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/splitmix.h"

struct fuzz_bytes {
	uint8_t *data;
	size_t size, room;
	uint64_t seed; /* of draw() and below() */
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
/* libFuzzer's own changes; drive.c has some of the same kind */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* One to three changes, each by `change` or, one in four, without knowing the format; then `mend`, which may be NULL. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t most, unsigned int seed, void (*change)(struct fuzz_bytes *b),
		   void (*mend)(struct fuzz_bytes *b));
/* Without knowing the format: bits, bytes, numbers at the edge of their range, cuts, copies. */
void fuzz_change_any(struct fuzz_bytes *b);

/* One in n. */
int fuzz_one_in(struct fuzz_bytes *b, uint64_t n);
/* A number, as fields hold them: small, at the edge of a range, or any. */
uint32_t fuzz_number(struct fuzz_bytes *b);
uint32_t fuzz_get(const struct fuzz_bytes *b, size_t at, int bytes, int big);
/* Nothing where it lies beyond the end. */
void fuzz_put(struct fuzz_bytes *b, size_t at, uint32_t x, int bytes, int big);
/* Puts `n` bytes in the place of `drop` bytes at `at`; 0: there is no room, and nothing was done. data NULL: zeros. */
int fuzz_replace(struct fuzz_bytes *b, size_t at, size_t drop, const void *data, size_t n);
/* One of the texts, put in or over what is there; or lines moved, repeated or left out. */
void fuzz_change_text(struct fuzz_bytes *b, const char *const *texts, size_t count);

/* A field of a header. */
struct fuzz_field {
	uint8_t at, bytes;
};
void fuzz_change_field(struct fuzz_bytes *b, size_t from, const struct fuzz_field *fields, size_t count, int big);
/* An entry of the first folder of a TIFF file: its tag, of those, its type, count, value, or what that points to. */
void fuzz_change_ifd(struct fuzz_bytes *b, const uint16_t *tags, size_t count);

#endif
