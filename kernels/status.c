#include "kernels/status.h"

#include <stdio.h>
#include <string.h>

/* A message per thread, as errno is: the one piece of state that is not in somebody's struct. */
static _Thread_local char message[1024];

enum ns_status ns_fail(enum ns_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	return status;
}

enum ns_status ns_fail_in(enum ns_status status, const char *format, ...)
{
	char old[sizeof message];
	va_list args;
	int n;

	memcpy(old, message, sizeof old);
	va_start(args, format);
	n = vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof message)
		snprintf(message + n, sizeof message - (size_t)n, ": %.*s", (int)(sizeof message - (size_t)n), old);
	return status;
}

const char *ns_message(void)
{
	return message;
}
