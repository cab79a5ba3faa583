#!/usr/bin/env bash
# Bugs that are planted must be found: planted.sh MODE PROGRAM, MODE one of plain, asan, tsan.
mode=$1 program=$2 bad=0 found=0
# clean ORDER STREAMS, catches BUG TEXT [ORDER STREAMS]
run() { NS_CUDASIM_ORDER=${2:-forward} NS_CUDASIM_STREAMS=${3:-eager} TSAN_OPTIONS=halt_on_error=1:exitcode=66 "$program" "$1" 2>&1; }
clean() {
	run none "$1" "$2" >out.$$ || { cat out.$$; echo "FAILED: clean work is complained of ($mode, $*)"; bad=1; }
}
catches() {
	local text
	if text=$(run "$1" "$3" "$4"); then
		echo "FAILED: $1 was not found ($mode, ${3:-forward})"
		bad=1
	elif ! grep -q -- "$2" <<<"$text"; then
		echo "FAILED: $1 was found, but without '$2': $text" | head -5
		bad=1
	else
		found=$((found + 1))
	fi
}
for order in forward reverse shuffle:3; do
	for streams in eager lazy; do clean $order $streams; done
done
catches left-barrier "waits for ever at"
catches both-branches "a barrier in both branches"
catches left-shuffle "has left the kernel"
catches host-pointer "is no device memory"
catches wrong-copy "is no device memory"
catches no-event "wrong result of streams" forward lazy
catches early-fork "wrong result of graphs" reverse
catches no-join "was not joined"
catches pageable-graph "is not pinned"
case $mode in
plain)
	catches no-barrier "wrong result of reverse"
	catches unwritten "wrong result of half_written"
	;;
asan)
	catches out-of-bounds "planted.cpp"
	catches out-of-shared "planted.cpp"
	catches host-reads "use-after-poison"
	catches leak "LeakSanitizer"
	;;
tsan)
	catches no-barrier "data race"
	catches no-barrier "data race" reverse
	catches no-syncwarp "data race"
	catches plain-count "data race"
	;;
esac
rm -f out.$$
echo "$mode: $found planted bugs found"
exit $bad
