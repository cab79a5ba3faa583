#include "kernels/status.h"

#include <stdio.h>
#include <string.h>

/* A message per thread, as errno is: the one piece of state that is not in somebody's struct. */
static _Thread_local char message[1024];

enum ns_status ns_fail(enum ns_status status, const char *format, ...)
{
	char text[sizeof message]; /* the last message may be among the arguments */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	memcpy(message, text, sizeof message);
	return status;
}

enum ns_status ns_fail_in(enum ns_status status, const char *format, ...)
{
	char text[sizeof message];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n), message);
	memcpy(message, text, sizeof message);
	return status;
}

const char *ns_message(void)
{
	return message;
}
