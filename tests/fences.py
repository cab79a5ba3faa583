#!/usr/bin/env python3
"""The house's rules, checked on what the compiler made of the sources. Prints each breach; exit 1 if there is one.

usage: fences.py BUILD [--source FOLDER] [--headers]

From the symbols of the object files below BUILD: no room uses one above it, no circle of files within a room or across rooms, what
nobody else uses is static, who may call which library and which system call. From the sources: each struct tag and each external
name declared once, in its own room's header; one door a room; every key that is read is a row of jobs/table.c and every row is read;
functions of at most 60 lines and files of at most 450. --headers: every header compiles alone, too.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

# bottom to top: a room uses what stands before it. jobs/ itself (main, table, man) is on top of all.
ROOMS = """kernels kernels/formula kernels/ref kernels/cpu
host/base host/comm host/run host/stat host/judge host/dag host/onnx host/outputs host/graph host/train host/registry host/report
datasets/h5 datasets/decode datasets/objects datasets/source datasets/shard datasets/predict datasets/labels
jobs/task jobs/ingest jobs/look jobs/label jobs/augment jobs/answer jobs/infer jobs/predict jobs/import jobs/export jobs/train jobs/curate jobs/evaluate jobs/drift jobs/retrain jobs/release jobs/night
jobs/bench jobs/admin jobs""".split()
# the contract of kernels/ is one door of several leaves; its rooms call each other through tables that plan.c puts together
KERNELS = ("kernels", "kernels/formula", "kernels/ref", "kernels/cpu")
# who may call what, by the beginning of the symbol
LIBRARIES = {"MPI_": "host/comm/", "ompi_mpi_": "host/comm/", "H5": "datasets/", "dnnl_": "kernels/cpu/dnnl.c", "cuda": "kernels/cuda/", "cudnn": "kernels/cuda/",
             "nccl": "host/comm/", "yaml_": "host/base/yaml.c", "EVP_": "host/base/digest.c", "archive_": "datasets/source/",
             "tj": "datasets/decode/", "png_": "datasets/decode/", "XML_": "datasets/objects/voc.c", "XXH": "host/base/file.c"}
# what ends a process or asks a wall clock, and who may: the program itself, a child that must not come back, a rank that waits for others in vain, a record's time
FORBIDDEN = {"abort": (), "exit": (), "_exit": ("datasets/h5/look.c", "host/comm/mpi.c"), "_Exit": (), "quick_exit": (), "__assert_fail": (), "raise": (),
             "system": (), "popen": (), "gettimeofday": ("jobs/night/step.c",), "MPI_Wtime": ()}
FUNCTION_LINES, FILE_LINES = 60, 450
# one thought that would not be clearer in two: a row of pixels through every operation; one library in two versions
LONGER = {"kernels/cpu/augment.c": 480, "kernels/cpu/dnnl.c": 460}


class Source:
    def __init__(self, root):
        self.root = root
        self.files = sorted(p.relative_to(root).as_posix() for top in ("kernels", "host", "datasets", "jobs") for p in (root / top).rglob("*")
                            if p.suffix in (".c", ".h", ".cu", ".cuh"))
        self.text = {f: (root / f).read_text() for f in self.files}
        self.code = {f: strip(t) for f, t in self.text.items()}


def strip(text):
    """without comments; lines stay where they are"""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m[0].count("\n") + " ", text, flags=re.S)


def without_texts(code):
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', code)


def room_of(file):
    return file.rpartition("/")[0]


def door_of(room):
    return f"{room}/{room.rpartition('/')[2]}.h"


# --- symbols ---

def objects(build):
    """source file -> (external names that it defines, names that it asks for)"""
    found, at = {}, {}
    for o in build.rglob("*.o"):
        m = re.search(r"(?:ns_kernels|ns_host|ns_datasets|ns_jobs|nightshift)\.dir/(.*)\.o$", o.as_posix())
        if m and m[1].endswith(".c"):
            at[o.as_posix()] = m[1]
            found[m[1]] = set(), set()
    for line in subprocess.run(["nm", "-A", *at], capture_output=True, text=True, check=True).stdout.splitlines() if at else []:
        file, _, symbol = line.partition(":")
        kind, name = symbol.split()[-2:]
        if kind in "TDRBGSVWC" and not name.startswith(("__asan", "__odr_asan", "__gcov")):
            found[at[file]][0].add(name)
        elif kind == "U":
            found[at[file]][1].add(name)
    return found


def uses(made):
    """file -> file -> names"""
    home = {name: f for f, (defined, _) in made.items() for name in defined}
    graph = {f: collections.defaultdict(set) for f in made}
    for f, (_, wanted) in made.items():
        for name in wanted:
            if home.get(name, f) != f:
                graph[f][home[name]].add(name)
    return graph


def circles(graph):
    """groups of nodes that reach each other (Tarjan)"""
    index, low, stack, out = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in graph.get(v, ()):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            group = []
            while not group or group[-1] != v:
                group.append(stack.pop())
            if len(group) > 1:
                out.append(sorted(group))

    for v in sorted(graph):
        if v not in index:
            visit(v)
    return out


def check_floors(made):
    graph = uses(made)
    for f in sorted(graph):
        if room_of(f) not in ROOMS:
            yield f"{f}: is in no room that tests/fences.py knows"
            continue
        for g, names in sorted(graph[f].items()):
            if room_of(g) in ROOMS and ROOMS.index(room_of(g)) > ROOMS.index(room_of(f)) and not (room_of(f) in KERNELS and room_of(g) in KERNELS):
                yield f"{f}: uses {g}, which is above it: {' '.join(sorted(names))}"
    for group in circles({f: g for f, g in graph.items() if room_of(f) not in KERNELS}):
        edges = "; ".join(f"{a} -> {b}: {' '.join(sorted(graph[a][b]))}" for a in group for b in group if b in graph[a])
        yield f"a circle of files: {edges}"


def check_static(made, source, tests):
    wanted = set().union(*(w for _, w in made.values()))
    spoken = set(re.findall(r"\w+", tests)) | set(re.findall(r"\w+", "".join(c for f, c in source.code.items() if f.startswith("kernels/cuda"))))
    for f, (defined, _) in sorted(made.items()):
        for name in sorted(defined - wanted - spoken - {"main"}):
            yield f"{f}: {name} is external, but nobody else uses it"


def check_calls(made):
    ours = set().union(*(d for d, _ in made.values()))
    for f, (_, wanted) in sorted(made.items()):
        for name in sorted(wanted - ours):
            plain = re.sub(r"@.*", "", name)
            for prefix, place in LIBRARIES.items():
                if plain.startswith(prefix) and not f.startswith(place):
                    yield f"{f}: calls {plain}, which belongs to {place}"
            if plain in FORBIDDEN and f not in FORBIDDEN[plain] and f != "jobs/main.c":
                yield f"{f}: calls {plain}"


# --- sources ---

def check_doors(source):
    for f, code in source.code.items():
        for name in re.findall(r'#include "([^"]+)"', code):
            if name not in source.text or f.startswith("kernels/") or name.startswith("kernels/"):
                continue
            if room_of(name) != room_of(f) and name != door_of(room_of(name)) and name != "jobs/verb.h":
                yield f"{f}: includes {name}, which is private to {room_of(name)}"
            elif room_of(f) in ROOMS and room_of(name) in ROOMS and ROOMS.index(room_of(name)) > ROOMS.index(room_of(f)) and name != "jobs/verb.h":
                yield f"{f}: includes {name}, whose room is above"
        if re.search(r"CLOCK_REALTIME", code):
            yield f"{f}: asks the wall clock; what waits or measures goes by ns_now()"
    for f in source.files:
        if f.endswith(".h") and f.count("/") == 2 and not f.startswith("kernels/") and f != door_of(room_of(f)) and not f.endswith("_inner.h"):
            yield f"{f}: is neither its room's door nor called *_inner.h"
    for room in ROOMS[4:-1]:
        if door_of(room) not in source.text:
            yield f"{room}: has no door {door_of(room)}"
        if not (source.root / room / "README").exists():
            yield f"{room}: has no README"
        elif len((source.root / room / "README").read_text().splitlines()) > 15:
            yield f"{room}/README: has more than 15 lines"


def check_declared_once(source, made):
    tags, names = collections.defaultdict(set), collections.defaultdict(set)
    home = {name: f for f, (defined, _) in made.items() for name in defined}
    for f, code in source.code.items():
        if f.startswith("kernels/cuda"):
            continue
        bare = without_texts(code)
        for m in re.finditer(r"\b(?:struct|enum|union)\s+(ns_\w+)\s*\{", bare):
            tags[m[1]].add(f)
        for line in top_level(bare):
            if not (f.endswith(".h") or line.startswith("extern")) or re.match(r"static|typedef|struct \w+ \{|enum \w* ?\{", line):
                continue
            for name in re.findall(r"\b(ns_\w+)\b(?=\s*[(\[;,=])", re.sub(r"\((?:[^()]|\([^()]*\))*\)", "(", line)):
                if name in home:
                    names[name].add(f)
    for tag, files in sorted(tags.items()):
        if len(files) > 1:
            yield f"struct {tag} is defined in {' and in '.join(sorted(files))}"
    for name, files in sorted(names.items()):
        if len(files) > 1:
            yield f"{name} is declared in {' and in '.join(sorted(files))}"
        for f in files:
            if room_of(f) != room_of(home[name]) and not (f.startswith("kernels/") and home[name].startswith("kernels/")):
                yield f"{name} is declared in {f}, but lives in {home[name]}"
    for name, f in sorted(home.items()):
        if name.startswith("ns_") and name not in names and not f.startswith("kernels/"):
            yield f"{f}: {name} is external, but no header declares it"


def top_level(code):
    """lines outside of braces, those of one declaration joined"""
    depth, joined = 0, ""
    for line in code.splitlines():
        if depth == 0 and not line.startswith("#"):
            joined += line + " "
        depth += line.count("{") - line.count("}")
        if depth == 0 and re.search(r"[;}]\s*$", line):
            yield joined.strip()
            joined = ""


def check_keys(source):
    rows = re.findall(r'^\t\{"([\w.]+)", ', source.text["jobs/table.c"], re.M)
    retired = re.findall(r'^\t\{"([\w.]+)", .*, NULL, 0, 0\}', source.text["jobs/table.c"], re.M)
    others = {f: c for f, c in source.code.items() if f != "jobs/table.c"}
    read = collections.defaultdict(set)
    for f, code in others.items():
        for m in re.finditer(r'\bns_(?:conf_(?:int|real|bool|text|node|given|put\w*)|job_need)\(\s*[^,]+,\s*"([\w.]+)"', code):
            read[m[1]].add(f)
    for key in sorted(set(read) - set(rows)):
        yield f"{' '.join(sorted(read[key]))}: reads the key '{key}', which is no row of jobs/table.c"
    texts = "\n".join(others.values())
    for key in set(rows) - set(retired):
        if key not in read and f'"{key}"' not in texts and f'"%s.{key.rpartition(".")[2]}"' not in texts:
            yield f"jobs/table.c: nobody reads the key '{key}'"


def check_sizes(source):
    for f, text in source.text.items():
        lines = text.splitlines()
        if len(lines) > LONGER.get(f, FILE_LINES):
            yield f"{f}: has {len(lines)} lines; at most {FILE_LINES} make a file"
        begun = None
        for n, line in enumerate(lines, 1):
            if line == "{":
                begun = n
            elif line == "}" and begun:
                if n - begun - 1 > FUNCTION_LINES:
                    yield f"{f}:{begun}: a function of {n - begun - 1} lines; at most {FUNCTION_LINES}"
                begun = None


def check_headers(source, build):
    """each header by itself, with the options of a file that sees all libraries"""
    commands = json.loads((build / "compile_commands.json").read_text())
    flags = next(c["command"] for c in commands if c["file"].endswith("jobs/main.c")).split()
    flags = [x for i, x in enumerate(flags[1:], 1) if x not in ("-c", "-o") and flags[i - 1] not in ("-o", "-c", "-MF", "-MT") and x not in ("-MD", "-MF", "-MT")]
    flags = [x for x in flags if not x.endswith((".o", ".c"))]
    for f in source.files:
        if f.endswith(".h") and not f.startswith("kernels/cuda"):
            r = subprocess.run(["cc", *flags, "-fsyntax-only", "-x", "c", "-std=c11", "-include", str(source.root / f), "/dev/null"], capture_output=True, text=True,
                               cwd=build)
            if r.returncode:
                yield f"{f}: does not compile alone: {(r.stderr.strip().splitlines() or ['?'])[0]}"


def breaches(args):
    source, made = Source(args.source), objects(args.build)
    made = {f: m for f, m in made.items() if f in source.text}
    if len(made) < 50:
        raise SystemExit(f"{args.build}: has object files of {len(made)} sources; build the project first")
    missing = [f for f in source.files if f.endswith(".c") and f not in made and not f.startswith("kernels/cpu")]
    yield from (f"{f}: was not compiled" for f in missing)
    tests = "\n".join(p.read_text() for p in (args.source / "tests").rglob("*") if p.suffix in (".c", ".cpp", ".h"))
    yield from check_floors(made)
    yield from check_static(made, source, tests)
    yield from check_calls(made)
    yield from check_doors(source)
    yield from check_declared_once(source, made)
    yield from check_keys(source)
    yield from check_sizes(source)
    if args.headers:
        yield from check_headers(source, args.build)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("--source", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    p.add_argument("--headers", action="store_true")
    args = p.parse_args()
    sys.setrecursionlimit(10000)
    found = list(breaches(args))
    print("\n".join(found) if found else "the fences hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
