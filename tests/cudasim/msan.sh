#!/usr/bin/env bash
# The kernels under MemorySanitizer, which clang has: device and shared memory hold nothing until something is computed there, and
# what is read before that, or copied back, is named by its line. Skipped aloud without clang and its run-time library.
#
#	tests/cudasim/msan.sh [--full]
#
# What is read does not hang on numbers, so the cases are those of NST_CASES=memory (tests/kernels/cases.h): one run a plan instead of two,
# and of shapes, flags and types every pair instead of every triple. That the answers are right is asked by kernels.test_*, of all cases.
# --full runs all of them here as well, in ten minutes instead of three.
set -euo pipefail
cases=memory
case ${1:-} in
'') ;;
--full) cases=all ;;
*) sed -n '4,10s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cc=$(compgen -c clang | grep -xE 'clang(-[0-9]+)?' | sort -V | tail -1 || true)
flags=(-fsanitize=memory -fno-sanitize-recover=all -fno-omit-frame-pointer -gline-tables-only -O1 -DNS_CUDASIM -DNS_NO_CPU -ffp-contract=off -Wno-unknown-pragmas -I"$root" -I"$root/tests/cudasim")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo 'int main(void) { return 0; }' >try.c
[ -n "$cc" ] && "$cc" -fsanitize=memory try.c -o try 2>/dev/null && ./try || { echo "SKIPPED: no clang with MemorySanitizer"; exit 77; }
mkdir o
compile() { # SOURCE OBJECT
	if [[ $1 == *.c ]]; then
		"$cc" -std=c11 "${flags[@]}" -c "$1" -o "o/$2.o"
	else
		"$cc" -std=c++17 -x c++ "${flags[@]}" -c "$1" -o "o/$2.o"
	fi
}
for f in "$root"/kernels/*.c "$root"/kernels/formula/*.c "$root"/kernels/ref/*.c "$root"/kernels/cuda/*.cu "$root"/tests/cudasim/{fibers,runtime}.cpp \
	"$root"/tests/kernels/cases*.c; do
	[[ $f == */cudnn_* ]] && continue
	compile "$f" "$(basename "$(dirname "$f")")-$(basename "$f")" &
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
done
wait
[ "$(find o -name 'kernels-*' | wc -l)" -gt 0 ]
for test in conv dense image queue reorder shift tensor types windows steps; do
	"$cc" "${flags[@]}" "$root/tests/kernels/test_$test.c" o/*.o -lstdc++ -lm -ldl -lcmocka -o "test_$test"
	NST_CASES=$cases NST_BACKENDS=cuda "./test_$test" >log 2>&1 || { tail -40 log; echo "FAILED: test_$test"; exit 1; }
	grep -hE "cuda: .* ran" log || true
done
# what is planted is found
"$cc" -std=c++17 "${flags[@]}" "$root/tests/cudasim/planted.cpp" o/cudasim-*.o -lstdc++ -lm -o planted
./planted none
for bug in unwritten unwritten-device; do
	! ./planted $bug >log 2>&1 && grep -q "use-of-uninitialized-value" log || { cat log; echo "FAILED: $bug was not found"; exit 1; }
done
echo "msan: no read of what nothing computed; 2 planted bugs found"
