#!/usr/bin/env bash
# The augmentation by known answers: each operation alone and all of them together make, byte for byte, what draws.py (version 1:
# draws_1.py) computes from the definitions; the order in which ops act, the draw that each one has. On each backend they do what
# torchvision's do: augment_peer.json holds its results. A recipe that cannot mean anything is refused.
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
"$python" "$here/augment.py" "$ns" || fail "augment.py"
ok
mkdir peer peer-sim
(cd peer && "$python" "$here/augment_peer.py" "$ns" cpu ref) || fail "augment_peer.py"
ok
if [ -x "$build/nightshift-sim" ]; then
	(cd peer-sim && "$python" "$here/augment_peer.py" "$build/nightshift-sim" cuda) || fail "augment_peer.py cuda"
	ok
fi

wrong() { refuses 78 "$1" "$ns" augment --data data-3 --out refused --augment="$2"; }
wrong "resolution: the map has no range" '[{resolution: {p: 0.5}}]'
wrong "crop: the map has no padding" '[{crop: {p: 0.5}}]'
wrong "flip: the map has no p" '[{flip: {}}]'
wrong "brightness: p = 1.5, expected 0 to 1" '[{brightness: {range: 2, p: 1.5}}]'
wrong "noise: .20, 20., expected values within 0 to 1" '[{noise: 20}]'
wrong "1.: flip is listed a second time" '[{flip: 0.5}, {flip: 0.5}]'
wrong "flip acts before blur" '[{blur: 1}, {flip: 0.5}]'
wrong "contrast acts before hue" '[{hue: 0.1}, {contrast: 2}]'
wrong "unknown or unsuitable key 'aspect'" '[{zoom: {range: 1, aspect: 2}}]'
wrong "version: expected 1 or 2" '{version: 3, operations: []}'
wrong "operations: expected a list" '{version: 1}'
wrong "unknown key 'operation'" '{version: 1, operation: []}'
wrong "version 1 draws operations of one stage together, and rotate has p = 0" '{version: 1, operations: [{rotate: {range: 45, p: 0}}, {zoom: 1.0}]}'
wrong "blur: .3, 3., expected values within 0 to 2" '{version: 1, operations: [{blur: 3}]}'
done_testing
