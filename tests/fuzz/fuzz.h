/*
 * tests/fuzz/fuzz.h - what the fuzz targets share: bytes as files, and a job that has one rank and no output.
 *
 * A target is one file fuzz_NAME.c, its seeds are corpus/NAME/. Errors are what parsers are for, so a target
 * looks at no status but to know whether there is something to go on with; what it finds are crashes, leaks,
 * endless loops and memory.
 */
#ifndef NS_FUZZ_H
#define NS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "jobs/curate/curate.h"
#include "jobs/drift/drift.h"
#include "jobs/infer/infer.h"
#include "jobs/ingest/ingest.h"
#include "jobs/retrain/retrain.h"
#include "jobs/task/task.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An empty folder of this process, the same each time; on /dev/shm or below NS_FUZZ_DIR, which fuzz.sh
 * removes. */
const char *fuzz_folder(void);
/* The bytes as a file below that folder; its path, good until the next call but three. */
const char *fuzz_file(const char *name, const void *data, size_t size);
/* The same of one of the corpus, as large valid files that a small fuzzed one speaks of. */
const char *fuzz_copy(const char *name, const char *corpus);
const char *fuzz_path(const char *name);

/* Several files in one input, with FUZZ_CUT between them: at most `most` parts, what is not there is empty.
 */
#define FUZZ_CUT "\n|cut|\n"
struct fuzz_part {
	const uint8_t *data;
	size_t size;
};
int fuzz_split(const uint8_t *data, size_t size, struct fuzz_part *parts, int most);

/* One rank, one worker, the table's configuration, no device until one is asked for; made once, for all
 * inputs. */
struct ns_job *fuzz_job(void);

/* The one place that opens a data set, as more than one target does. */
enum ns_status fuzz_dataset_open(struct ns_dataset **data, const char *path);
/* Every row and every checksum of a shard, as readers do. */
void fuzz_shard_read(const struct ns_shard *s);

#endif
