#!/usr/bin/env bash
# What a site installs, as far as it goes without Spack, Apptainer and Lmod: the installed tree works from elsewhere; the recipes parse,
# name options that the build has and packages that ./run installs.
. "$(dirname "$0")/../jobs/lib.sh"
top=$(cd "$here/../.." && pwd)
quietly cmake --install "$build" --prefix "$work/opt"
quietly env PATH="$work/opt/bin:$PATH" nightshift doctor --device=cpu
grep -q '^rank 0 ' log || fail "doctor: $(cat log)"
[ -s opt/share/man/man1/nightshift-train.1 ] && [ -s opt/share/doc/nightshift/cluster.md ] || fail "manual pages or docs are missing"
if [ -e "$build/libnightshift-cuda.so" ]; then # found beside the binary, through the link on PATH
	grep -q 'this build has no CUDA backend' log && fail "the module is not found: $(grep cuda log)"
fi
ok
"$images" idx train 300 1 && "$images" idx test 100 2 || fail images
cat >night.yaml <<'Y'
registry: night/registry
night:
  train: train/images-idx3-ubyte
  test: test/images-idx3-ubyte
  split: {train: 100, reference: 100, tonight: 100}
  nights: [{name: tonight}]
Y
quietly env PATH="$work/opt/bin:$PATH" opt/share/nightshift/slurm/submit.sh --config night.yaml --out night --dry-run
grep -q 'train.sbatch' log || fail "submit.sh of the installed tree: $(cat log)"

"$python" - "$top" <<'P' || fail "Spack's recipe"
import re, sys, types
top = sys.argv[1]
said = []
def directive(name):
    def call(*args, **kwargs):
        said.append((name, args, kwargs))
        return types.SimpleNamespace(__enter__=lambda *a: None, __exit__=lambda *a: None)
    return call
class When:
    def __init__(self, *a, **k): pass
    def __enter__(self): pass
    def __exit__(self, *a): pass
package = types.ModuleType("spack.package")
for name in ("version", "depends_on", "conflicts", "generator"):
    setattr(package, name, directive(name))
package.when = When
class Target:
    def optimization_flags(self, compiler, version): return "-march=znver3 -mtune=znver3"
class Spec:
    target, variants = Target(), {"cuda_arch": types.SimpleNamespace(value=("80", "90"))}
    def satisfies(self, what): return what == "+cuda"
class CMakePackage:
    spec = Spec()
    def define(self, name, value): return "-D%s=%s" % (name, ";".join(value) if isinstance(value, list) else value)
package.CMakePackage, package.CudaPackage = CMakePackage, type("CudaPackage", (), {})
sys.modules["spack"], sys.modules["spack.package"] = types.ModuleType("spack"), package
space = {}
exec(compile(open(top + "/slurm/install/package.py").read(), "package.py", "exec"), space)
args = space["Nightshift"]().cmake_args()
cmake = open(top + "/CMakeLists.txt").read()
known = set(re.findall(r"^(?:set|option)\((NS_[A-Z_]+)", cmake, re.M))
given = {a[2:].split("=")[0] for a in args}
assert given <= known, given - known
assert "-DNS_ARCH=znver3" in args and "-DNS_CUDA_ARCHITECTURES=80-real;90-real" in args, args
wanted = {a[1][0].split("@")[0].split()[0] for a in said if a[0] == "depends_on"}
for module in re.findall(r"pkg_(?:check_modules|search_module)\([A-Z]+ REQUIRED IMPORTED_TARGET ([^)]*)\)", cmake):
    names = {"jansson": "jansson", "yaml-0.1": "libyaml", "libcrypto": "openssl", "libxxhash": "xxhash", "hdf5-serial": "hdf5", "libjpeg": "libjpeg-turbo", "libwebp": "libwebp+libwebpdemux", "libtiff-4": "libtiff",
             "libpng": "libpng", "libarchive": "libarchive", "zlib": "zlib-api", "expat": "expat"}
    assert names[module.split()[0]] in wanted, module
P
ok
"$python" - "$top" <<'P' || fail "Apptainer's definition"
import re, subprocess, sys
top = sys.argv[1]
text = open(top + "/slurm/install/nightshift.def").read()
head, *sections = re.split(r"^%(\w+).*$", text, flags=re.M)
keys = dict(l.split(": ", 1) for l in head.splitlines() if l and not l.startswith("#"))
assert keys == {"Bootstrap": "docker", "From": "debian:12"}, keys
body = dict(zip(sections[::2], sections[1::2]))
assert set(body) == {"files", "post", "runscript", "test"}, body.keys()
for name in ("post", "runscript", "test"):
    subprocess.run(["sh", "-n"], input=body[name], text=True, check=True)
wanted = set(re.search(r"--no-install-recommends((?:\s+\\?\s*[a-z0-9+.-]+)+)", body["post"]).group(1).replace("\\", " ").split())
run = set(re.search(r"packages=\(([^)]*)\)", open(top + "/run").read()).group(1).split())
assert wanted <= run, wanted - run
known = set(re.findall(r"^(?:set|option)\((NS_[A-Z_]+)", open(top + "/CMakeLists.txt").read(), re.M))
assert set(re.findall(r"-D(NS_[A-Z_]+)", body["post"])) <= known
P
ok
for lua in luac luac5.4 luac5.3; do
	command -v $lua >/dev/null || continue
	quietly $lua -p "$top/slurm/install/nightshift.lua"
	break
done
for f in "$top"/slurm/*.sbatch "$top"/slurm/*.sh "$top"/slurm/site.conf; do bash -n "$f" || fail "$f"; done
ok
done_testing
