#!/usr/bin/env bash
# What the paths of a source mean: the same for folders, tars and zips; and nothing that is seen is lost.
#
#	tests/jobs/paths.sh [--keep] [classes | splits | no_splits | links | names | webdataset | lists | columns | annotations | slices | objects | follow | place | strays | containers | like | unlabelled | share | files | arrays ...]
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/paths.py" "$ns" "$@"
