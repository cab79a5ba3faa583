#!/usr/bin/env bash
# What the other scripts rely on: a failure says its script and line, once more at the end, and is not lost in a subshell; --keep leaves the
# folder; `same` says where two files differ; an argument that is not --keep is the script's own.
. "$(dirname "$0")/lib.sh"
script() { # CODE: a script of these lines behind lib.sh, its output in said
	local code=$1 got
	{
		echo "#!/usr/bin/env bash"
		echo ". '$here/lib.sh'"
		cat
	} >some.sh
	shift
	env -u NS_KEEP TMPDIR="$work/tmp" NS_BUILD="$build" bash some.sh "$@" >said 2>&1
	got=$?
	[ $got = "$code" ] || { cat said >&2; fail "the script exited $got, wanted $code"; }
	ok
}
says() { grep -qF -- "$1" said || { cat said >&2; fail "no '$1'"; }; ok; }
left() { find tmp -mindepth 1 | wc -l; }
mkdir tmp
script 0 <<<'ok; done_testing'
[ "$(left)" = 0 ] || fail "a script that passed left its folder"
script 1 one --keep two <<'S'
echo "arguments: $*"
check() {
	same "$1" "$2"
}
printf 'first\nsecond line\n' >a; printf 'first\nsecond life\n' >b
check a b
S
says "arguments: one two"
says "FAILED: some.sh:5 (from line 8): a and b differ: line 2, column 10: 'second line' and 'second life'"
[ "$(grep -c '^FAILED: some.sh:5' said)" = 2 ] || fail "a failure is not repeated at the end"
[ -e "$(sed -n 's/^kept: //p' said)/a" ] || { cat said >&2; fail "--keep left no folder"; }
rm -rf tmp/*
script 1 <<<'quietly false'
says "FAILED: some.sh:3: false"
[ "$(left)" = 0 ] || fail "a folder was left without --keep"
script 1 <<<'value=$(fail "within"); done_testing'
says "FAILED: some.sh:3: within"
script 5 <<<'exit 5'
says "FAILED: some.sh: exit 5"
script 77 <<<'exit 77'
differ() { "$python" "$here/differ.py" "$1" "$2" >said 2>&1 || fail "differ.py"; }
printf 'abc\0def' >a && printf 'abc\0xyf!' >b
differ a b
says "7 and 8 bytes, 2 differ, the first at offset 4: 0x64 and 0x78"
"$python" - <<'P' || fail "h5py"
import h5py, json, numpy as np, struct
for name, moved in ("a", 0), ("b", 1):
    with h5py.File(name + ".h5", "w") as f:
        f["same"] = np.arange(4)
        f["x"] = np.array([[1.0, np.nan], [3.0, 4.0 + moved]])
        f["x"].attrs["unit"] = "mm" if moved else "cm"
        if moved: f["more"] = 1
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}).encode()
    open(name + ".safetensors", "wb").write(struct.pack("<Q", len(header)) + header + np.array([1, 2, 3, 4 + moved], "f4").tobytes())
P
differ a.h5 b.h5
says "more is in b.h5 alone"
says "x: 1 of 4 values differ, the first at [1, 1]: "
says "attribute unit of x: 'cm' and 'mm'"
differ a.safetensors b.safetensors
says "it is b[1]"
differ a.h5 nowhere
says "nowhere is not there"
done_testing
