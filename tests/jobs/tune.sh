#!/usr/bin/env bash
# Models that came as ONNX, trained on: against the same training in NumPy, the same bits however it runs, other classes, what is held fast, and a manifest that is executed.
#
#	tests/jobs/tune.sh [--keep] [known | bits | learns | head | masks | halves | parents | freeze | manifest | night | devices | refused ...]
. "$(dirname "$0")/lib.sh"
"$images" idx src 300 3 || fail images
for one in reference:300:4 test:300:5 quiet:400:6 changed:400:7; do # and those of a night
	IFS=: read -r name rows seed <<<"$one"
	"$images" idx "$name-src" "$rows" "$seed" || fail images
done
cp -r src train-src
quietly "$ns" ingest src/images-idx3-ubyte --out data
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/tune.py" "$ns" "$@"
