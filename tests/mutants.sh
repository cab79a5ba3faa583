#!/usr/bin/env bash
# Every mutant of tests/mutants/table.tsv against the tests that must kill it; red where one survives without a written reason. Options
# are those of tests/mutants/run.py (--tenth K or today, --only ID,ID, --file TEXT, --test NAME, --within SECONDS). NST_BUILD names another
# folder than build-mutants, NST_JOBS how many compilers run at once.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${NST_BUILD:-build-mutants}
cmake -S . -B "$build" -G Ninja -DNS_MUTANTS=ON -DNS_TESTS=ON -DNS_CUDA=OFF -DCMAKE_C_FLAGS_RELEASE=-O2 -DCMAKE_CXX_FLAGS_RELEASE=-O1 >"$build.log" 2>&1 ||
	{ cat "$build.log"; exit 1; }
grep '^plant: ' "$build.log" || true
rm -f "$build.log"
# the program, what its scripts want, and the test programs that the table names; the simulator only where a script asks for it
programs=$(cut -f5 tests/mutants/table.tsv | tr ' ' '\n' | grep -E '^(host|datasets|kernels)\.' | sort -u | while IFS=. read -r folder name; do
	[ ! -e "tests/$folder/$name.c" ] || echo "$name"
done) || true
for name in $(cut -f5 tests/mutants/table.tsv | tr ' ' '\n' | sed -n 's/^jobs\.//p' | sort -u); do
	if grep -qs nightshift-sim "tests/jobs/$name.sh"; then
		programs="$programs nightshift-sim"
		break
	fi
done
preloaded=$(cd tests/tools && for f in *.c; do [ "$f" = images.c ] || echo "${f%.c}"; done)
# shellcheck disable=SC2086 # words of a list
cmake --build "$build" --target nightshift images $preloaded $programs -- -j"${NST_JOBS:-$(nproc)}" --quiet
exec /usr/bin/python3 tests/mutants/run.py "$build" "$@"
