/* jobs/man.c - a verb's manual page in roff, from the same table as --help and the parser. */
#include "jobs/verb.h"

#include <string.h>

/* Escapes what roff interprets: a backslash, and a dot or a quote at the start of a line. */
static void roff_put(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", f);
		else if (*text == '-')
			fputs("\\-", f);
		else
			fputc(*text, f);
	fputc('\n', f);
}

void ns_man_page(FILE *f, int verb)
{
	static const char *const codes[][2] = {{"0", "done; drift found is a finding, still 0"},
					       {"1", "the gate refused, or drift with --exit-code"},
					       {"64", "usage"},
					       {"65", "bad data"},
					       {"69", "device or service missing"},
					       {"70", "internal error"},
					       {"74", "input or output"},
					       {"75", "stopped early with a checkpoint: start it again"},
					       {"77", "digest"},
					       {"78", "configuration"}};
	const struct ns_verb *v = &ns_verbs[verb];
	const struct ns_key *k;
	size_t i;

	fprintf(f, ".TH NIGHTSHIFT-%s 1\n.SH NAME\nnightshift-%s \\- ", v->name, v->name);
	roff_put(f, v->help);
	fprintf(f, ".SH SYNOPSIS\n.B nightshift %s\n", v->name);
	if (*v->operands)
		fprintf(f, ".I %s\n", v->operands);
	fprintf(f,
		"[\\-\\-config FILE.yaml] [\\-\\-key=value ...]%s\n.SH KEYS\nOn the command line as they stand here; in YAML a key a.b is "
		"written b under a.\n",
		v->needs_out ? " \\-\\-out PATH" : "");
	for (k = ns_keys; k->name; k++) {
		if (!(k->verbs >> verb & 1) || !k->help)
			continue;
		fprintf(f, ".TP\n.B \\-\\-");
		roff_put(f, k->flag ? k->flag : k->name);
		roff_put(f, k->help);
		if (strcmp(k->otherwise, "null")) {
			fprintf(f, "Default:\n");
			roff_put(f, k->otherwise);
		}
	}
	fprintf(f, ".SH EXIT STATUS\n");
	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		fprintf(f, ".TP\n.B %s\n", codes[i][0]);
		roff_put(f, codes[i][1]);
	}
	fprintf(f, ".SH SEE ALSO\nnightshift \\-\\-help; the README and docs/ of the project\n");
}
