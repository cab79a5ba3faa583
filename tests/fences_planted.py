#!/usr/bin/env python3
"""A breach of each kind is planted into a copy, which the fences must then refuse, by name; without one they hold.

usage: fences_planted.py BUILD
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# what it is; file; text that is appended, or (old, new); what the fences must say
BREACHES = [
    ("a room uses one above it, without any include", "host/stat/pvalue.c", "int ns_job_ingest(void *, int, char **);\nint planted(void);\nint planted(void)\n{\n\treturn ns_job_ingest(0, 0, 0);\n}\n",
     "uses jobs/ingest/ingest.c, which is above it"),
    ("a circle of files within a room", "jobs/night/record.c", "enum ns_status ns_night_plan(struct ns_night *n, int arrays);\nint planted(struct ns_night *n);\nint planted(struct ns_night *n)\n{\n\treturn ns_night_plan(n, 0);\n}\n",
     "a circle of files: "),
    ("an external name that nobody else uses", "host/base/name.c", "int ns_planted(void);\nint ns_planted(void)\n{\n\treturn 1;\n}\n", "ns_planted is external, but nobody else uses it"),
    ("a call of MPI outside of its room", "host/run/job.c", "int MPI_Barrier(void *);\nint planted(void);\nint planted(void)\n{\n\treturn MPI_Barrier(0);\n}\n", "calls MPI_Barrier"),
    ("a call of HDF5 outside of datasets", "jobs/drift/words.c", "int H5open(void);\nint planted(void);\nint planted(void)\n{\n\treturn H5open();\n}\n", "calls H5open"),
    ("an end of the process below the program", "jobs/drift/words.c", "void abort(void);\nvoid planted(void);\nvoid planted(void)\n{\n\tabort();\n}\n", "calls abort"),
    ("the wall clock by a macro", "jobs/train/train.c", "#include <time.h>\n#define WHEN CLOCK_REALTIME\n", "asks the wall clock"),
    ("an include of another room's private header", "jobs/infer/feed.c", ('#include "jobs/infer/infer.h"', '#include "jobs/infer/infer.h"\n#include "host/train/trainer_inner.h"'),
     "which is private to host/train"),
    ("an include from above", "host/stat/rows.c", ('#include "host/stat/stat.h"', '#include "host/stat/stat.h"\n#include "host/report/report.h"'), "whose room is above"),
    ("a second door", "host/stat/more.h", "#ifndef NS_MORE_H\n#define NS_MORE_H\n#endif\n", "is neither its room's door"),
    ("a struct tag twice", "jobs/train/train.c", "struct ns_workers {\n\tint x;\n};\n", "struct ns_workers is defined in"),
    ("a name that is declared in another room's header", "host/graph/graph.h", ("#endif\n", "double ns_stat_ks_p(double d, int64_t m, int64_t n);\n\n#endif\n"), "ns_stat_ks_p is declared in"),
    ("a name that no header declares", "jobs/evaluate/evaluate.c", "int ns_planted(void);\nint ns_planted(void)\n{\n\treturn 1;\n}\n", "no header declares it"),
    ("a key that is read and is no row", "jobs/train/train.c", 'int planted(struct ns_conf *c);\nint planted(struct ns_conf *c)\n{\n\treturn (int)ns_conf_int(c, "train.planted");\n}\n',
     "the key 'train.planted', which is no row"),
    ("a row that nobody reads", "jobs/table.c", ('\t{"seed", NULL,', '\t{"train.planted", NULL, NS_KEY_INT, "1", ANY, "nothing", 0, 0},\n\t{"seed", NULL,'), "nobody reads the key 'train.planted'"),
    ("a long function", "host/base/name.c", "void planted(int *x);\nvoid planted(int *x)\n{\n" + "\t++*x;\n" * 61 + "}\n", "a function of 61 lines"),
    ("a long file", "host/base/name.c", "/* */\n" * 440, "at most 450 make a file"),
    ("a header that does not compile alone", "host/report/report.h", ("#include <stddef.h>\n", ""), "does not compile alone"),
    ("a room without a README", "jobs/curate/README", None, "jobs/curate: has no README"),
]


class Copy:
    def __init__(self, build, work):
        self.work, self.build, self.source = work, work / "build", work / "source"
        self.commands = json.loads((build / "compile_commands.json").read_text())
        shutil.copy(build / "compile_commands.json", self._made(self.build / "compile_commands.json"))
        for o in build.rglob("*.o"):
            if any(f"{name}.dir/" in o.as_posix() for name in ("ns_kernels", "ns_host", "ns_datasets", "ns_jobs", "nightshift")):
                shutil.copy(o, self._made(self.build / o.relative_to(build)))
        for top in ("kernels", "host", "datasets", "jobs", "tests"):
            for p in (ROOT / top).rglob("*"):
                if p.suffix in (".c", ".h", ".cu", ".cuh", ".cpp") or p.name == "README":
                    shutil.copy(p, self._made(self.source / p.relative_to(ROOT)))

    def _made(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def compile(self, file):
        """the object of one source, from the copy"""
        for c in self.commands:
            if c["file"] == str(ROOT / file):
                o = self.build / c["output"] if "output" in c else next(self.build.rglob(f"*{file}.o"))
                o.unlink()
                command = c["command"].replace(str(ROOT / file), str(self.source / file)).replace(f"-I{ROOT} ", f"-I{self.source} ").replace("-Werror", "")
                words = command.split()
                words[words.index("-o") + 1] = str(o)
                words = [w for i, w in enumerate(words) if w not in ("-MD", "-MF", "-MT") and words[i - 1] not in ("-MF", "-MT")]
                r = subprocess.run(words + ["-w"], cwd=self.build, capture_output=True, text=True)
                if r.returncode:
                    raise SystemExit(f"{file}: a planted breach must compile: {r.stderr[:400]}")
                return

    def fences(self, headers):
        r = subprocess.run([sys.executable, ROOT / "tests/fences.py", self.build, "--source", self.source, *(["--headers"] if headers else [])],
                           capture_output=True, text=True)
        return r.returncode, r.stdout + r.stderr


def plant(copy, what, file, text, wanted):
    path = copy.source / file
    before = path.read_text() if path.exists() else None
    if text is None:
        path.unlink()
    elif isinstance(text, tuple):
        if before.count(text[0]) < 1:
            raise SystemExit(f"{what}: {file} no longer has {text[0]!r}")
        at = before.rindex(text[0]) if text[0] == "#endif\n" else before.index(text[0])
        path.write_text(before[:at] + text[1] + before[at + len(text[0]):])
    else:
        path.write_text((before or "") + "\n" + text)
    if file.endswith(".c"):
        copy.compile(file)
    code, said = copy.fences(file.endswith("report.h"))
    if before is None:
        path.unlink()
    else:
        path.write_text(before)
    if file.endswith(".c"):
        copy.compile(file)
    return code == 1 and any(wanted in line and (file in line or "circle" in line or "jobs/table.c" in line or "README" in line) for line in said.splitlines()), said


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    work = pathlib.Path(tempfile.mkdtemp(prefix="nightshift-planted."))
    try:
        copy = Copy(build, work)
        code, said = copy.fences(True)
        if code:
            print(f"FAIL nothing planted, but: {said}")
            return 1
        unseen = []
        for what, file, text, wanted in BREACHES:
            found, said = plant(copy, what, file, text, wanted)
            if not found:
                unseen.append(f"FAIL {what}\n     wanted '{wanted}', the fences said: {said[:600]}")
            if not found or "--verbose" in sys.argv:
                print(unseen[-1] if not found else f"PASS {what}", flush=True)
        print("\n".join([*unseen, f"{len(BREACHES) - len(unseen)} breaches were seen, {len(unseen)} were not"]))
        return 1 if unseen else 0
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
