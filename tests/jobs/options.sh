#!/usr/bin/env bash
# What a training may be told: losses, weights of classes, how rows are drawn, which epoch is kept, rates by depth; against NumPy and against itself.
#
#	tests/jobs/options.sh [--keep] [losses | sampling | best | resumed | depth | batches | families | rates | refused ...]
#
# Trimmed (NST_TRIM=1): each family is trained for an epoch, and that it learns is the plain build's question.
. "$(dirname "$0")/lib.sh"
"$images" idx src 300 3 || fail images
quietly "$ns" ingest src/images-idx3-ubyte --out data
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/options.py" "$ns" "$@"
