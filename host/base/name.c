#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"

#include <string.h>
#include <strings.h>

int ns_ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n > k && !strcmp(text + n - k, end);
}

int ns_ends_like(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n > k && !strcasecmp(text + n - k, end);
}

int ns_is_name(const char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
	size_t length = strlen(text);

	return length >= 1 && length <= NS_NAME_MAX && strspn(text, alphabet) == length && *text != '-' && *text != '.';
}

enum ns_status ns_check_name(const char *key, const char *text)
{
	char found[2 * NS_NAME_MAX];
	size_t i;

	if (ns_is_name(text))
		return NS_OK;
	/* A message is one line, and control characters would reach the terminal. */
	for (i = 0; text[i] && i + 1 < sizeof found; i++)
		found[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
	found[i] = 0;
	return ns_fail(NS_CONFIG,
		       "%s = '%s%s', expected a name of 1 to %d letters (A-Z, a-z), digits, '-', '_' or '.', that does not begin with '-' or '.'",
		       key, found, text[i] ? "..." : "", NS_NAME_MAX);
}
