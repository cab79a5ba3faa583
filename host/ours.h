/*
 * host/ours.h - what of a folder is nightshift's own. A folder is by its record (run.json, partial.json or night.json, of the right
 * schema), a file in it by run.json's list of outputs; of work that was never finished, of a night, and of results from before
 * subfolders were listed, by the names that nightshift gives. Whatever else lies there is somebody's, and stops every removal.
 */
#ifndef NS_OURS_H
#define NS_OURS_H

#include "kernels/status.h"

#define NS_MARKER "partial.json" /* of work that goes on: {"schema": "nightshift.partial/1", "verb": ...} */

/* Has it a record of ours, or is it empty? NS_IO where it cannot be told. */
enum ns_status ns_ours_is(const char *folder, int *is);
/* NS_IO names the first thing below that is not ours; nothing is touched. */
enum ns_status ns_ours_check(const char *folder);
/*
 * Check, then remove what is ours: of each folder its record last, so that whoever is killed at it leaves what the next run still
 * knows. Symbolic links go, what they lead to stays. A folder that is not there is fine.
 */
enum ns_status ns_ours_remove(const char *folder);
/* The same, but the folder itself stays. */
enum ns_status ns_ours_empty(const char *folder);

#endif
