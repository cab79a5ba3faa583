#!/usr/bin/env bash
# Every parser against bytes that nobody wrote: clang's libFuzzer with ASan and UBSan, a second a target from the committed corpus. Skipped
# aloud (77) without clang. Seeds of the search are fixed, so a longer search in every run would mostly find again what the last one found;
# after a change of a parser, and now and then, it is given longer by hand: --seconds 60.
#
#	tests/fuzz/fuzz.sh [--seconds N] [--direct] [--keep] [NAME ...]
#
# NAME: fuzz_NAME.c; all where none is given. --keep: go on from what earlier runs found interesting (build-fuzz/work). HDF5 files
# are first looked at in a child process, whose crashes are refusals; --direct takes it away, to reach our own code faster, and then a
# crash that is libhdf5's own is counted and no failure.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
seconds=1 direct='' keep=''
while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=$2; shift ;;
	--direct) direct=1 ;;
	--keep) keep=1 ;;
	-*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
	*) break ;;
	esac
	shift
done
build=$root/build-fuzz
cc=$(compgen -c clang | grep -xE 'clang(-[0-9]+)?' | sort -V | tail -1 || true)
dir=$(mktemp -d -p /dev/shm nightshift-fuzz.XXXXXX)
trap 'rm -rf "$dir"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }' >"$dir/try.c"
if [ -z "$cc" ] || ! "$cc" -fsanitize=fuzzer,address,undefined "$dir/try.c" -o "$dir/try" 2>/dev/null || ! "$dir/try" -runs=1 2>/dev/null; then
	echo "SKIPPED: no clang with libFuzzer (clang, libclang-rt-dev)"
	exit 77
fi
if ! { cmake -S "$root/tests/fuzz" -B "$build" -G Ninja -DCMAKE_C_COMPILER="$cc" && cmake --build "$build"; } >"$build.log" 2>&1; then
	tail -40 "$build.log"
	exit 1
fi
rm -f "$build.log"
[ $# -gt 0 ] || set -- $(cd "$root/tests/fuzz" && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')

# what libhdf5 1.10 does not free when it refuses a file is not ours
printf 'leak:libhdf5\n' >"$dir/lsan"
export ASAN_OPTIONS=allocator_may_return_null=1 LSAN_OPTIONS=suppressions=$dir/lsan:print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1
export NS_FUZZ_CORPUS=$root/tests/fuzz/corpus NS_FUZZ_DIR=$dir
[ -n "$direct" ] && export NS_LOOK=0 || export NS_LOOK=1

# Is it in libhdf5, and with memory that libhdf5 has allocated? What it writes over a buffer of ours is ours.
is_hdf5s_own() { # LOG
	local frames='^ +#[0-9]+ 0x[0-9a-f]+ ' helpers='fuzzer::|__sanitizer|__asan|__interceptor_|/libc\.so| in (malloc|calloc|realloc|strdup|mem[a-z]+) |(mem|str)[a-z]+-[a-z-]+\.S'
	! grep -q 'AddressSanitizer: stack-buffer' "$1" || return 1
	[[ $(grep -A20 -E 'ERROR: (AddressSanitizer|libFuzzer)' "$1" | grep -E "$frames" | grep -vE "$helpers" | head -1) == *libhdf5* ]] || return 1
	[[ $(grep -A6 'allocated by thread' "$1" | grep -E "$frames" | grep -vE "$helpers" | head -1) =~ ^$|libhdf5 ]]
}

# 10 seconds of a machine that does other things too may be one of the processor; 4 of the processor are a finding
is_waiting() { # NAME ARTIFACT
	local TIMEFORMAT=%U spent
	[[ $2 == */timeout-* ]] || return 1
	spent=$({ time "$build/fuzz_$1" -timeout=60 "$2" >/dev/null 2>&1; } 2>&1)
	[ "${spent%.*}" -lt 4 ]
}

found=0 runs=0
fuzz() { # NAME
	local name=$1 most=4096 work=$dir/work/$1 seeds=$dir/seeds/$1 until=$((SECONDS + seconds)) left code tries=0 theirs=0 whole=1 patience usual=10
	local -x ASAN_OPTIONS=$ASAN_OPTIONS
	case $name in h5_*) most=24576 usual=60 ;; tar | zip) most=8192 ASAN_OPTIONS+=:max_allocation_size_mb=512 ;; esac # LZMA may ask for a dictionary of 4 GiB
	[ -z "$keep" ] || work=$build/work/$name
	mkdir -p "$work" "$seeds" "$build/found/$name"
	cp "$NS_FUZZ_CORPUS/$name"/* "$seeds"
	[ -z "$direct" ] || rm -f "$seeds"/found-libhdf5-*
	# first each seed as it is, then what becomes of the first `most` bytes of some
	while left=$((until - SECONDS)) && { [ $left -gt 0 ] || [ $tries -lt 2 ]; }; do
		tries=$((tries + 1)) code=0
		if [ -n "$whole" ]; then set -- "$seeds"/*; else set -- -max_total_time=$((left > 1 ? left : 1)) -max_len=$most -seed=$tries "$work" "$seeds"; fi
		# a seed may want all the six seconds of the processor that a child may take, of a machine that does other things too; of HDF5 any input may
		patience=${whole:+60} whole=
		"$build/fuzz_$name" -timeout="${patience:-$usual}" -rss_limit_mb=2048 -malloc_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$dir/" "$@" >"$dir/log" 2>&1 || code=$?
		runs=$((runs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log" | tail -1 | grep . || echo 0)))
		[ $code != 0 ] || continue
		if [[ $name == h5_* ]] && is_hdf5s_own "$dir/log"; then
			theirs=$((theirs + 1))
			rm -f "$dir"/{crash,leak,oom,timeout,slow-unit}-*
			continue
		fi
		if is_waiting "$name" "$(ls "$dir"/timeout-* 2>/dev/null | head -1)"; then
			rm -f "$dir"/timeout-*
			continue
		fi
		grep -vE '^(INFO|#[0-9]+|stat::)' "$dir/log" | head -60
		echo "FAILED: $name (exit $code)"
		if [ "$tries" = 1 ]; then
			echo "again: NS_LOOK=$NS_LOOK NS_FUZZ_CORPUS=$NS_FUZZ_CORPUS $build/fuzz_$name $NS_FUZZ_CORPUS/$name/$(sed -n 's|^Running: .*/||p' "$dir/log" | tail -1)"
		fi
		for artifact in "$dir"/{crash,leak,oom,timeout,slow-unit}-*; do
			[ -s "$artifact" ] || continue
			mv "$artifact" "$build/found/$name/"
			echo "again: NS_LOOK=$NS_LOOK NS_FUZZ_CORPUS=$NS_FUZZ_CORPUS $build/fuzz_$name $build/found/$name/${artifact##*/}"
			echo "keep:  cp $build/found/$name/${artifact##*/} $NS_FUZZ_CORPUS/$name/found-WHAT"
		done
		found=$((found + 1))
		break
	done
	rm -f "$dir"/{crash,leak,oom,timeout,slow-unit}-*
	echo "$name: $(sed -nE 's/^#[0-9]+\s+DONE +(.*) lim.*/\1/p' "$dir/log" | tail -1)$([ $theirs = 0 ] || echo "; libhdf5 itself failed $theirs times")"
}
for name; do fuzz "$name"; done
echo "fuzz: $# targets, $runs runs, $found findings"
[ $found = 0 ]
