/*
 * tests/tools/clock.c - preloaded into nightshift: a wall clock that somebody sets all the time. Each reading of a thread is an hour
 * behind or an hour ahead in turn, so that a duration or a deadline by it is wrong by hours; the monotonic clock is left alone.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t step(void)
{
	static __thread unsigned readings;

	return readings++ % 2 ? 3600 : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int code = (int)syscall(SYS_clock_gettime, clock, t);

	if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		t->tv_sec += step();
	return code;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	int code = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return code;
}

time_t time(time_t *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
