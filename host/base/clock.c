/* host/base/clock.c - the time that passes, and the time that records tell. */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"

#include <stdlib.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

double ns_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int64_t ns_today(void)
{
	const char *said = getenv("SOURCE_DATE_EPOCH");

	return said && *said ? strtoll(said, NULL, 10) : (int64_t)time(NULL);
}

const char *ns_who(char who[NS_WHO])
{
	char room[4096];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
		snprintf(who, NS_WHO, "%.120s", found->pw_name);
	else
		snprintf(who, NS_WHO, "uid %lld", (long long)geteuid());
	return who;
}
