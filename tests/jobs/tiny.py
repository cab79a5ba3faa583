"""Tiny jobs, a runner and what a result, a registry and a night must look like: shared by faults.py and durable.py.

The world is a folder of inputs that no job changes; what a job changes is put there again before each start. Paths are relative to the
world, so that a world built from a log is the same world.
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import tarfile
import tempfile
import time
import zlib

class Report:
    """what was tried, group by group: a line for each that failed, for the others with --verbose, and all failures once more at the end"""
    def __init__(self, verbose):
        self.verbose, self.passed, self.failed = verbose, 0, []

    def line(self, passed, what, details=()):
        lines = [f"{'PASS' if passed else 'FAIL'} {what}", *(f"     {d}" for d in details)]
        self.passed += passed
        if not passed:
            self.failed.append(lines)
        if not passed or self.verbose:
            print("\n".join(lines), flush=True)

    def note(self, what):
        if self.verbose:
            print(f"     {what}", flush=True)

    def end(self, totals):
        """the exit code"""
        for lines in self.failed:
            print("\n".join(lines))
        print(f"{totals}; {self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed or not self.passed else 0


checks = 0


def check(fine, what):
    """of tests that end with the first thing that is wrong, and say at their end how much was looked at"""
    global checks
    if not fine:
        raise SystemExit(f"FAILED: {what}")
    checks += 1


def put_away(folder):
    """unless NS_KEEP says that a failed test leaves its folders: then what is left is the script's to remove"""
    if not os.environ.get("NS_KEEP"):
        shutil.rmtree(folder)


def chosen(parts, names):
    """the functions of these names, or all where none is named"""
    known = {part.__name__: part for part in parts}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no check '{unknown[0]}': {', '.join(known)}")
    return [known[name] for name in names or known]


IMAGES = 12
LEFT_BEHIND = (".partial", ".lock", ".replaced")
WRITTEN = ("o", "r", "history", "night", "seen") # all that any job writes to, but for what it leaves beside
EPOCH = "1700000000"
NET = ["--model.blocks=[1]", "--model.width=4", "--train.epochs=1", "--train.batch=4", "--train.virtual_ranks=2", "--train.precision=f32"]
DRIFT = ["--threads=1", "--drift.permutations=19", "--drift.self_test=0"]
NIGHT = """registry: night/registry
model: {blocks: [1], width: 4}
train: {epochs: 1, batch: 4, virtual_ranks: 2, precision: f32}
infer: {precision: f32}
drift: {permutations: 19, self_test: 0}
device: cpu
threads: 1
ingest: {classes: [cat, dog], shard_rows: 6}
night:
  train: photos
  test: tonight
  split: {train: 6, reference: 3, quiet: 3}
  tasks: 1
  nights: [{name: quiet}]
"""


class Run:
    def __init__(self, code, text, hung):
        self.code, self.text, self.hung = code, text, hung

    def said(self):
        lines = [line for line in self.text.splitlines() if line.startswith("nightshift: ")]
        return lines[-1][:200] if lines else ""


def run(binary, args, cwd, preload=None, limit=30, **env):
    """one start of the program; whoever does not end within the limit hangs"""
    settings = dict(os.environ, OMP_NUM_THREADS="1", SOURCE_DATE_EPOCH=EPOCH, USER="tiny", **env)
    if preload:
        settings["LD_PRELOAD"] = str(preload)
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen([binary, *args], cwd=cwd, env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        hung = False
        try:
            p.wait(limit)
        except subprocess.TimeoutExpired:
            hung = True
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
        out.seek(0)
        return Run(p.returncode, out.read().decode("utf-8", "replace"), hung)


# --- inputs ---

def png(width, height, pixels):
    rows = b"".join(b"\0" + pixels[i * width:(i + 1) * width] for i in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def photos(folder, seed):
    draw = random.Random(seed)
    for name, base in (("cat", 60), ("dog", 160)):
        (folder / name).mkdir(parents=True)
        for i in range(IMAGES // 2):
            (folder / name / f"{i:03}.png").write_bytes(png(8, 8, bytes(base + draw.randrange(60) for _ in range(64))))


def idx(folder, seed):
    draw = random.Random(seed)
    folder.mkdir()
    pixels = bytes(draw.randrange(256) for _ in range(IMAGES * 64))
    with gzip.GzipFile(folder / "images-idx3-ubyte.gz", "wb", mtime=0) as f:
        f.write(struct.pack(">IIII", 0x803, IMAGES, 8, 8) + pixels)
    (folder / "labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, IMAGES) + bytes(i % 2 for i in range(IMAGES)))


def make(binary, world):
    """every input that a job below names"""
    def must(*args):
        done = run(binary, args, world)
        if done.code:
            raise SystemExit(f"the tiny world cannot be made: {' '.join(args)}: {done.text}")
    world.mkdir()
    photos(world / "photos", 1)
    photos(world / "tonight", 2)
    photos(world / "broken", 1)
    (world / "broken/cat/broken.png").write_text("no image\n") # one line of quarantine, whatever fails
    idx(world / "idx", 3)
    names = sorted(str(p.relative_to(world)) for p in (world / "photos").rglob("*.png"))
    (world / "list.txt").write_text("".join(f"{n}\t{n.split('/')[1]}\n" for n in names))
    with tarfile.open(world / "photos.tar", "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name.split("/", 1)[1])
            data = (world / name).read_bytes()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    must("ingest", "photos", "--out", "data", "--ingest.shard_rows=6")
    must("ingest", "tonight", "--out", "night-data", "--ingest.shard_rows=6")
    for seed in (1, 2, 3):
        must("train", "--data", "data", "--out", f"model-{seed}", "--registry", "reg", "--threads=1", f"--seed={seed}", *NET)
        if seed < 3: # the third is in the registry, and no ref names it
            must("registry", "promote", "production", digest(world / f"model-{seed}/model.json"), "--registry", "reg")
    (world / "reg/refs/production.0123456789abcdef.tmp").write_text("what a killed writer left\n")
    for path in (world / "reg").rglob("*"): # of old, so that gc takes what nothing reaches
        os.utime(path, (1e9, 1e9))
    for out, data in (("ref", "data"), ("pred", "night-data")):
        must("infer", "--data", data, "--out", out, "--registry", "reg", "--threads=1", "--infer.precision=f32")
    must("drift", "--reference", "pred", "--current", "ref", "--out", "before", "--drift.history=past", *DRIFT)
    flat = world / "flat"
    flat.mkdir()
    for i, path in enumerate(sorted((world / "tonight").rglob("*.png"))):
        shutil.copy(path, flat / f"{i}.png")
    must("ingest", "flat", "--out", "unlabelled", "--ingest.shard_rows=6", "--ingest.classes=[cat, dog]")
    must("infer", "--data", "unlabelled", "--out", "unlabelled-pred", "--registry", "reg", "--threads=1", "--infer.precision=f32")
    must("label", "--predictions", "unlabelled-pred", "--data", "unlabelled", "--out", "queue", "--label.rows=4", "--registry", "reg")
    (world / "answers.jsonl").write_text("".join(json.dumps({"id": r["id"], "label": "cat", "by": "anna"}) + "\n" for r in read_json(world / "queue/queue.json")["rows"]))
    for i in (0, 1):
        must("ingest", "broken", "--out", f"parts/0000{i}", "--part", f"{i}/2", "--name", "photos", "--ingest.shard_rows=4")
    (world / "night.yaml").write_text(NIGHT)
    for step in ("prepare/data", "prepare/test"):
        must("night", "--config", "night.yaml", "--out", "night", "--step", step)
    (world / "night").rename(world / "begun")
    damaged = world / "damaged"
    shutil.copytree(world / "reg", damaged)
    victim = damaged / "objects" / digest(world / "model-1/model.safetensors")[:2] / digest(world / "model-1/model.safetensors")[2:]
    victim.chmod(0o644)
    victim.write_bytes(b"X" + victim.read_bytes()[1:])


# --- what is there ---

def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def tree(folder):
    """every file under it by its digest; {} where there is none"""
    return {str(p.relative_to(folder)): digest(p) for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()}


def lies(out):
    """what a published folder says of its files, and is not so"""
    try:
        says = [(out, o["file"], o["sha256"]) for o in json.loads((out / "run.json").read_text())["outputs"]]
        for index in out.rglob("*.json"):
            if index.name in ("dataset.json", "predictions.json"):
                inner = json.loads(index.read_text())
                says += [(index.parent, s["file"], s["sha256"]) for s in inner.get("shards", inner.get("files", []))]
        for folder, name, want in says:
            if not (folder / name).is_file():
                return f"{(folder / name).relative_to(out)} is missing"
            if digest(folder / name) != want:
                return f"{(folder / name).relative_to(out)} is not what the record says"
    except (OSError, ValueError, KeyError) as e:
        return f"{type(e).__name__}: {e}"
    return None


def reachable(registry, of=None):
    """digests that a ref's history names, or a file, directly or through objects"""
    found, todo = set(), set()
    for entry in [of] if of else (registry / "log").rglob("*.json"):
        todo |= set(re.findall(r'"([0-9a-f]{64})"', entry.read_text()))
    while todo:
        one = todo.pop()
        found.add(one)
        path = registry / "objects" / one[:2] / one[2:]
        if path.is_file() and path.stat().st_size < 1 << 16 and path.read_bytes()[:1] == b"{":
            todo |= set(re.findall(r'"([0-9a-f]{64})"', path.read_text(errors="replace"))) - found
    return found


def objects(registry):
    return {p.parent.name + p.name for p in (registry / "objects").glob("*/*") if len(p.name) == 62}


def damaged(registry):
    return [o for o in objects(registry) if digest(registry / "objects" / o[:2] / o[2:]) != o]


def head(registry, name="production"):
    entries = sorted((registry / "log" / name).glob("[0-9]*.json"))
    return json.loads(entries[-1].read_text())["new"] if entries else ""


# --- jobs ---

class Job:
    """name; arguments; out: the result's folder; given: what is put there first; also: folders that belong to the result; step: a
    night's record of it; registry: the one that it writes to, which must always be sound; without: a call that its file system does not
    have, and its error"""
    def __init__(self, name, args, out=None, given=None, also=(), step=None, registry=None, without=None):
        self.name, self.args, self.out, self.given, self.also, self.step = name, args, out, given or {}, also, step
        self.registry, self.without = registry, without

    def reset(self, world):
        for place in WRITTEN:
            for path in [world / (place + end) for end in ("", *LEFT_BEHIND)] + list(world.glob(place + ".jsonl*")):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.exists():
                    path.unlink()
        for place, source in self.given.items():
            if source:
                shutil.copytree(world / source, world / place)


def jobs(world):
    """what is tried: adding a job is adding a row"""
    model = {i: digest(world / f"model-{i}/model.json") for i in (1, 2, 3)}
    ingest, rows = ["ingest"], "--ingest.shard_rows=6"
    rr = ["--registry", "r"]
    drift = ["drift", "--reference", "ref", "--current", "pred", "--drift.history=history", *DRIFT]
    step = ["night", "--config", "night.yaml", "--out", "night", "--step"]
    return [
        Job("ingest", [*ingest, "photos", rows, "--out", "o"], "o"),
        Job("ingest-broken", [*ingest, "broken", rows, "--out", "o"], "o"),
        Job("ingest-list", [*ingest, "list.txt", rows, "--out", "o"], "o"),
        Job("ingest-follow", [*ingest, "photos", rows, "--follow", "seen.jsonl", "--out", "o"], "o"),
        Job("ingest-tar", [*ingest, "photos.tar", rows, "--out", "o"], "o"),
        Job("ingest-idx", [*ingest, "idx/images-idx3-ubyte.gz", "--ingest.classes=[cat, dog]", rows, "--out", "o"], "o"),
        Job("ingest-split", [*ingest, "photos", rows, "--ingest.split={a: 8, b: 4}", "--out", "o"], "o"),
        Job("ingest-force", [*ingest, "photos", rows, "--force", "--out", "o"], "o", {"o": "night-data"}),
        Job("ingest-force-nfs", [*ingest, "photos", rows, "--force", "--out", "o"], "o", {"o": "night-data"}, without="renameat2 EINVAL"),
        Job("train", ["train", "--data", "data", "--calibrate", "night-data", "--threads=1", "--train.checkpoint_steps=2", *NET, *rr, "--out", "o"], "o",
            also=("r",), registry="r"),
        Job("infer", ["infer", "--data", "night-data", "--registry", "reg", "--threads=1", "--infer.precision=f32", "--out", "o"], "o"),
        Job("drift", [*drift, "--out", "o"], "o", {"history": "past"}, also=("history",)), # a window that was not read counts as none
        Job("drift-first", [*drift, "--out", "o"], "o", also=("history",)),
        Job("label", ["label", "--predictions", "unlabelled-pred", "--data", "unlabelled", "--out", "o", "--label.rows=4", "--registry", "reg"], "o"),
        Job("label-answers", ["label", "--queue", "queue", "--answers", "answers.jsonl", *rr], given={"r": "reg"}, registry="r"),
        Job("merge", ["merge", "parts", "--out", "o"], "o"),
        Job("merge-copied", ["merge", "parts", "--out", "o"], "o", without="link EXDEV"),
        Job("promote", ["registry", "promote", "canary", model[1], *rr], given={"r": "reg"}, registry="r"),
        Job("promote-again", ["registry", "promote", "production", model[1], *rr], given={"r": "reg"}, registry="r"),
        Job("rollback", ["registry", "rollback", "production", *rr], given={"r": "reg"}, registry="r"),
        Job("gc", ["registry", "gc", *rr], given={"r": "reg"}, registry="r"),
        Job("verify", ["registry", "verify", *rr], given={"r": "reg"}, registry="r"),
        Job("verify-damaged", ["registry", "verify", *rr], given={"r": "damaged"}),
        Job("step-data", [*step, "prepare/data"], "night/prepare/data", {"night": None}, step="night/steps/prepare.data.json"),
        Job("step-model", [*step, "prepare/model"], "night/prepare/model", {"night": "begun"}, step="night/steps/prepare.model.json",
            registry="night/registry"),
    ]
