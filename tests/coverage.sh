#!/usr/bin/env bash
# Which lines of kernels/cuda/ the case table runs, on the simulator: printed a file, red below 95 % of all of them. What runs on
# a device alone (__CUDA_ARCH__) and what calls cuDNN is not compiled here and does not count. Which lines run does not hang on a second
# run or on the third of three choices, so the cases are those of NST_CASES=memory (tests/kernels/cases.h); NST_CASES=all runs all.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/build.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for f in "$root"/kernels/cuda/*.cu; do
	name=$(basename "$f" .cu)
	[[ $name == cudnn_* ]] && continue
	echo "#include \"kernels/cuda/$name.cu\"" >"$name.cpp"
	g++ -std=c++17 -O0 --coverage -DNS_CUDASIM -Wno-unknown-pragmas -ffp-contract=off -I"$root" -I"$root/tests/cudasim" -c "$name.cpp" &
	[ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
done
wait
for test in conv dense image queue reorder shift tensor types windows steps; do
	g++ --coverage ./*.o "$build"/tests/CMakeFiles/cudasim_runtime.dir/cudasim/*.o "$build/tests/CMakeFiles/test_$test.dir/kernels/"*.o \
		"$build/libns_kernels.a" -ldnnl -lgomp -lm -ldl -lcmocka -o "test_$test"
	NST_CASES=${NST_CASES:-memory} NST_BACKENDS=cuda "./test_$test" >log 2>&1 || { cat log; exit 1; }
done
gcov --json-format --stdout ./*.gcda 2>/dev/null >all.json
python3 - "$root" <<'P'
import json, os, sys
root, lines = sys.argv[1], {}
for text in open("all.json"):
    if not text.strip():
        continue
    for f in json.loads(text)["files"]:
        name = f["file"]
        if "kernels/cuda/" not in name:
            continue
        seen = lines.setdefault("kernels/cuda/" + os.path.basename(name), {})
        for l in f["lines"]:
            seen[l["line_number"]] = max(seen.get(l["line_number"], 0), l["count"])
total = ran = 0
for name, seen in sorted(lines.items()):
    hit = sum(c > 0 for c in seen.values())
    missed = sorted(n for n, c in seen.items() if not c)
    total, ran = total + len(seen), ran + hit
    print(f"{name:32} {hit:4} of {len(seen):4} lines, {100 * hit / len(seen):5.1f} %" + (f"   not run: {missed}" if missed else ""))
print(f"{'all':32} {ran:4} of {total:4} lines, {100 * ran / max(total, 1):5.1f} %")
sys.exit(total < 500 or ran < 0.95 * total)
P
