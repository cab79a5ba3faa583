/*
 * tests/mutants/mutant.c - which mutant a process has: NST_MUTANT says it, 0 is none. That its place was evaluated is a byte of the
 * file that NST_MUTANT_REACHED names, mapped before main(): a child that may neither open nor write a file can still say it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int nst_mutant;
static volatile char *reached;

int nst_reached(void);
int nst_reached(void)
{
	if (reached)
		*reached = '1';
	return 1;
}

__attribute__((constructor)) static void choose(void)
{
	const char *id = getenv("NST_MUTANT"), *path = getenv("NST_MUTANT_REACHED");
	int fd = id && path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	reached = page == MAP_FAILED ? NULL : page;
	nst_mutant = id ? atoi(id) : 0;
}
