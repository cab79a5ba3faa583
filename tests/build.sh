# tests/build.sh - sourced by every test that runs what was built: `build` is the folder that NS_BUILD names, from whatever folder.
if [ -z "${NS_BUILD:-}" ]; then
	echo "NS_BUILD is not set: NS_BUILD=\$PWD/build $0" >&2
	echo "(a folder made by: cmake -S . -B build -G Ninja -DNS_TESTS=ON && ninja -C build; ./run tests does all of it)" >&2
	exit 64
fi
build=$(realpath -m -- "$NS_BUILD")
if [ ! -x "$build/nightshift" ]; then
	echo "NS_BUILD=$NS_BUILD: $build/nightshift is not there; ninja -C $build builds it, after cmake -S . -B $build -G Ninja -DNS_TESTS=ON" >&2
	exit 64
fi
