#!/usr/bin/env bash
# The augmentation by known answers: each operation alone and all of them together make, byte for byte, what draws.py computes from the
# definitions; the order in which ops act, the draw that each one has, and what is drawn once a stage.
. "$(dirname "$0")/lib.sh"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/augment.py" "$ns" || fail "augment.py"
ok
done_testing
