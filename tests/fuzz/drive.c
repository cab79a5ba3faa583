/*
 * tests/fuzz/drive.c - the targets of formats, driven without libFuzzer: so many inputs, each a seed of the corpus that was changed, the same
 * ones every time. It finds less in the same time, as nothing tells it which inputs are new, but it wants no clang.
 *
 *	fuzz_formats TARGET CORPUS INPUTS [FIRST]    or, to see one again:  fuzz_formats TARGET FILE
 *
 * with ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=64, as archives may ask for dictionaries of 4 GiB.
 * An input that fails is left as fuzz-TARGET-NUMBER in the working folder. One that takes more than a second of the processor is a failure.
 */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/base.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/watch.h"

#define SIZE_MOST  65536
#define SEEDS_MOST 256
#define STUCK	   60 /* seconds */

void __sanitizer_set_death_callback(void (*callback)(void));

/* CMake gives the functions of each fuzz_NAME.c these names, as one program holds them all */
#define TARGETS(X)                                                                                                                                   \
	X(jpeg) X(png) X(webp) X(tiff) X(gif) X(bmp) X(pnm) X(exif) X(tar) X(zip) X(folder) X(webdataset) X(list) X(idx) X(objects) HEIF(X) JXL(X)
#ifdef NS_HEIF
#define HEIF(X) X(heif)
#else
#define HEIF(X)
#endif
#ifdef NS_JXL
#define JXL(X) X(jxl)
#else
#define JXL(X)
#endif
#define DECLARE(name)                                                                                                                                \
	int fuzz_##name##_one(const uint8_t *data, size_t size);                                                                                     \
	size_t fuzz_##name##_change(uint8_t *data, size_t size, size_t most, unsigned int seed);
#define ROW(name) {#name, fuzz_##name##_one, fuzz_##name##_change},
TARGETS(DECLARE)
static const struct target {
	const char *name;
	int (*one)(const uint8_t *data, size_t size);
	size_t (*change)(uint8_t *data, size_t size, size_t most, unsigned int seed);
} targets[] = {TARGETS(ROW)};

struct seed {
	uint8_t *data;
	size_t size;
};

static struct seed seeds[SEEDS_MOST];
static size_t seed_count;
static uint8_t input[SIZE_MOST];
static size_t input_size;
static char saved[NS_PATH_MAX]; /* the file that a failing input becomes; "": it is one already */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most)
{
	static uint64_t state = 1; /* set for each input, so that one can be made again alone */
	struct fuzz_bytes b = {data, size, most, 0};

	if (!data) {
		state = size;
		return 0;
	}
	b.seed = draw(&state);
	fuzz_change_any(&b);
	return b.size;
}

static void save(void)
{
	FILE *f = *saved ? fopen(saved, "wb") : NULL;

	if (f && fwrite(input, 1, input_size, f) == input_size && !fclose(f))
		fprintf(stderr, "fuzz: the input is %s\n", saved);
}

static void on_signal(int number)
{
	if (number == SIGALRM)
		fprintf(stderr, "fuzz: more than %d seconds for one input\n", STUCK);
	save();
	_exit(1);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_seeds(const char *folder)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, by_name), i;

	for (i = 0; i < n; i++) {
		char path[NS_PATH_MAX], *data;
		size_t size;

		if (*names[i]->d_name != '.' && seed_count < SEEDS_MOST && ns_path(path, "%s/%s", folder, names[i]->d_name) == NS_OK &&
		    ns_read_file(path, &data, &size) == NS_OK)
			seeds[seed_count++] = (struct seed){(uint8_t *)data, size < SIZE_MOST ? size : SIZE_MOST};
		free(names[i]);
	}
	free(n < 0 ? NULL : names);
}

/* Input number i: a seed, or the beginning of one and the end of another, changed. */
static void make_input(const struct target *t, uint64_t i)
{
	uint64_t state = i * 2 + 1;
	const struct seed *a = &seeds[i % seed_count], *other = &seeds[below(&state, seed_count)];
	size_t n;

	memcpy(input, a->data, a->size);
	input_size = a->size;
	if (i < seed_count)
		return;
	if (below(&state, 16) == 0 && a->size && other->size) {
		n = below(&state, other->size);
		input_size = below(&state, a->size);
		n = n < SIZE_MOST - input_size ? n : SIZE_MOST - input_size;
		memcpy(input + input_size, other->data + other->size - n, n);
		input_size += n;
	}
	(void)LLVMFuzzerMutate(NULL, draw(&state), 0);
	input_size = t->change(input, input_size, SIZE_MOST, (unsigned)draw(&state));
}

/* Returns the seconds of the processor that it took. */
static double run(const struct target *t)
{
	uint8_t *exact = malloc(input_size ? input_size : 1); /* a byte behind the end is not ours */
	struct timespec from, to;
	double seconds;

	if (!exact)
		exit(74);
	memcpy(exact, input, input_size);
	alarm(STUCK);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	t->one(exact, input_size);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	alarm(0);
	free(exact);
	seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
	if (seconds > 1) {
		fprintf(stderr, "fuzz: %.1f s of the processor for %zu bytes\n", seconds, input_size);
		save();
		exit(1);
	}
	return seconds;
}

static int run_many(const struct target *t, uint64_t inputs, uint64_t first)
{
	char here[NS_PATH_MAX], work[] = "/dev/shm/nightshift-fuzz.XXXXXX";
	double seconds, slowest = 0, all = 0;
	uint64_t i, at = 0;

	if (!seed_count || !getcwd(here, sizeof here) || !mkdtemp(work) || chdir(work) || setenv("TMPDIR", work, 1)) {
		fprintf(stderr, "fuzz: no seeds, or no room in /dev/shm\n");
		return 74;
	}
	for (i = first; i < first + inputs; i++) {
		if (ns_path(saved, "%s/fuzz-%s-%llu", here, t->name, (unsigned long long)i) != NS_OK)
			return 74;
		make_input(t, i);
		seconds = run(t);
		all += seconds;
		at = seconds > slowest ? i : at;
		slowest = seconds > slowest ? seconds : slowest;
	}
	if (chdir(here) || rmdir(work))
		fuzz_found("%s: files were left there", work);
	printf("%s: %llu inputs of %zu seeds, %.1f s of the processor, at most %.3f s for one (%llu)\n", t->name, (unsigned long long)inputs,
	       seed_count, all, slowest, (unsigned long long)at);
	return 0;
}

int main(int argc, char **argv)
{
	const struct target *t = NULL;
	struct stat st;
	char *data;
	size_t i;

	for (i = 0; argc > 2 && i < sizeof targets / sizeof *targets; i++)
		t = strcmp(argv[1], targets[i].name) ? t : &targets[i];
	if (!t || stat(argv[2], &st)) {
		fprintf(stderr, "usage: fuzz_formats TARGET CORPUS INPUTS [FIRST]\n       fuzz_formats TARGET FILE\n");
		return 64;
	}
	LLVMFuzzerInitialize(&argc, &argv);
	__sanitizer_set_death_callback(save);
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	if (S_ISDIR(st.st_mode)) {
		read_seeds(argv[2]);
		return run_many(t, argc > 3 ? strtoull(argv[3], NULL, 10) : 10000, argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
	}
	if (ns_read_file(argv[2], &data, &input_size) != NS_OK)
		return 74;
	input_size = input_size < SIZE_MOST ? input_size : SIZE_MOST;
	memcpy(input, data, input_size);
	free(data);
	printf("%s: %.3f s of the processor\n", argv[2], run(t));
	return 0;
}
