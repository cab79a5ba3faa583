#!/usr/bin/env bash
# C is laid out as .clang-format says, by clang-format 14 (Debian 12's): another version breaks lines at other places, and is no judge.
cd "$(dirname "$0")/.." || exit 1
format=$(command -v clang-format-14 || command -v clang-format)
if [ -z "$format" ] || ! "$format" --version | grep -q 'version 14\.'; then
	echo "SKIPPED: clang-format 14 is not there"
	exit 77
fi
bad=0
for file in $(find kernels host datasets jobs tests -name '*.[ch]' | sort); do
	"$format" --dry-run -Werror "$file" >/dev/null 2>&1 || { echo "$file: is laid out otherwise; $format -i $file"; bad=1; }
done
[ $bad = 0 ] && echo "all files are laid out as .clang-format says"
exit $bad
