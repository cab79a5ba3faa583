/* jobs/verb.h - the numbers of verbs, and what the program knows of each. */
#ifndef NS_JOBS_VERB_H
#define NS_JOBS_VERB_H

#include "host/run/run.h"

enum ns_verb_id {
	NS_VERB_INGEST,
	NS_VERB_AUGMENT,
	NS_VERB_TRAIN,
	NS_VERB_INFER,
	NS_VERB_EVALUATE,
	NS_VERB_DRIFT,
	NS_VERB_REGISTRY,
	NS_VERB_MERGE,
	NS_VERB_NIGHT,
	NS_VERB_REPORT,
	NS_VERB_DOCTOR,
	NS_VERB_BENCH,
	NS_VERB_LOOK,
	NS_VERB_LABEL,
	NS_VERB_IMPORT,
	NS_VERB_PREDICT,
	NS_VERB_EXPORT,
	NS_VERBS
};

struct ns_verb {
	const char *name, *operands, *help;
	int needs_out;
	enum ns_status (*run)(struct ns_job *job, int argc, char **argv);
};

extern const struct ns_verb ns_verbs[NS_VERBS];
extern const struct ns_key ns_keys[];

/* nightshift VERB --man: the verb's manual page, in roff */
void ns_man_page(FILE *f, int verb);

#endif
