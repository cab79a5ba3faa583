/*
 * tests/mutants/mutant.c - which mutant a process has: NST_MUTANT says it, 0 is none; with -1 it has none either, but says which ones it
 * could have noticed. That a mutant's place was evaluated is a byte at its number in the file that NST_MUTANT_REACHED names, mapped
 * before main(): a child that may neither open nor write a file can still say it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PLACES = 65536 }; /* bytes of that file */

int nst_mutant;
static volatile char *reached;

int nst_here(int);
int nst_here(int id)
{
	if (reached && id < PLACES)
		reached[id] = '1';
	return nst_mutant == id;
}

__attribute__((constructor)) static void choose(void)
{
	const char *id = getenv("NST_MUTANT"), *path = getenv("NST_MUTANT_REACHED");
	int fd = id && path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page = fd < 0 ? MAP_FAILED : mmap(NULL, PLACES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	reached = page == MAP_FAILED ? NULL : page;
	nst_mutant = id ? atoi(id) : 0;
}
