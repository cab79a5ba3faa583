#include "kernels/status.h"

#include <stdio.h>
#include <string.h>

/* A message per thread, as errno is: the one piece of state that is not in somebody's struct. */
static _Thread_local char message[1024];

/* Bytes of the character at `at`: of UTF-8 that is whole, shortest and no control character; 0: it is none such. */
static size_t character(const unsigned char *at)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : *at >= 0xe0 && *at < 0xf0 ? 3 : *at >= 0xf0 && *at < 0xf5 ? 4 : 0, i;
	unsigned x = n > 1 ? *at & (0x7fu >> n) : *at;

	for (i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		x = x << 6 | (at[i] & 0x3f);
	}
	return n && x >= 0x20 && x >= least[n] && (x < 0x7f || x >= 0xa0) && (x < 0xd800 || x > 0xdfff) && x <= 0x10ffff ? n : 0;
}

/* A name from an archive may hold anything: what would begin a new line, or colour a terminal, is written as \xNN. */
static void say(const char *text)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t at = 0;

	while (*from && at + 5 <= sizeof message) {
		size_t n = character(from);

		if (n)
			memcpy(message + at, from, n);
		else
			snprintf(message + at, 5, "\\x%02X", *from);
		at += n ? n : 4;
		from += n ? n : 1;
	}
	message[at] = 0;
}

enum ns_status ns_fail(enum ns_status status, const char *format, ...)
{
	char text[sizeof message]; /* the last message may be among the arguments */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say(text);
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
	say(text);
	return status;
}

const char *ns_message(void)
{
	return message;
}
