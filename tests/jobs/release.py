"""Lists of data sets that are read as one, and releases over nights with real training on small images. For release.sh.

usage: release.py NIGHTSHIFT [PART...], in an empty folder

What a list has is read from its sets' files with h5py; what a release names is put together again from the selection, the votes and the folders of nights.
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "year"))
import gate
import thirty
import tiny
from tiny import check

NS = None
OF_PEOPLE = ("path", "bytes", "kind", "night")
NET = ["--model.blocks=[1]", "--model.width=8", "--train.epochs=1", "--train.batch=4", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]


def run(*args, wanted=0, env=None):
    done = subprocess.run([NS, *map(str, args)], capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})})
    check(done.returncode == wanted, f"{' '.join(map(str, args))} exited {done.returncode}, wanted {wanted}: {done.stderr[-1200:]}")
    return done.stdout + done.stderr


def read(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def write(path, value):
    pathlib.Path(path).write_text(json.dumps(value), encoding="utf-8")


def canonical(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def shards(folder):
    return [h5py.File(pathlib.Path(folder, s["file"])) for s in read(pathlib.Path(folder, "dataset.json"))["shards"]]


def column(folder, name):
    return np.concatenate([f[name][:] for f in shards(folder)])


def entry(folder, **more):
    return {"path": str(folder), "digest": read(pathlib.Path(folder, "dataset.json"))["digest"], **more}


def sets(*entries, **more):
    return {"schema": "nightshift.sets/1", "sets": list(entries), **more}


def predicted(folder, name):
    files = [h5py.File(pathlib.Path(folder, f["file"])) for f in read(pathlib.Path(folder, "predictions.json"))["files"]]
    return np.concatenate([f[name][:] for f in files]), files[0].attrs["dataset"].decode()


# --- lists ---

def world():
    """three sets of the same kind: labelled in order, unlabelled, and with the classes the other way round and one more"""
    if pathlib.Path("a").exists():
        return
    draw = np.random.default_rng(5)
    for name, kinds in (("a", ("cat", "dog")), ("b", None), ("c", ("dog", "cat", "emu"))):
        for i in range(12):
            path = pathlib.Path("photos", name, *([kinds[i % len(kinds)]] if kinds else []), f"{i:02}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tiny.png(8, 8, draw.integers(0, 256, 64, dtype="u1").tobytes()))
        run("ingest", f"photos/{name}", "--out", name, "--ingest.shard_rows=5", "--ingest.size=8x8", *(["--ingest.classes=[dog, cat, emu]"] if name == "c" else []))
    run("train", "--data", "a", "--out", "model", "--registry", "reg", *NET)
    run("registry", "promote", "production", tiny.digest(pathlib.Path("model/model.json")), "--registry", "reg")


def infer(data, out, *more, **how):
    return run("infer", "--data", data, "--out", out, "--registry", "reg", "--threads=1", "--infer.precision=f32", "--force", *more, **how)


def lists(_binary):
    world()
    whole = {name: column(name, "id") for name in "abc"}
    # rows of all three, labels of its own for the second; the third's by name, of whom the emus are none of the classes
    rows, labels = [0, 3, 4, 5, 11], [1, 0, -1, 1, 0]
    write("list.json", sets(entry("a", night="first"), entry("b", rows=rows, labels=labels), entry("c", rows=[1, 5, 6, 9]), classes=["cat", "dog"]))
    infer("list.json", "p")
    ids, digest = predicted("p", "id")
    wanted = np.concatenate([whole["a"], whole["b"][rows], whole["c"][[1, 5, 6, 9]]])
    check((ids == wanted).all(), f"rows {ids}, wanted {wanted}")
    names = [c.decode() for c in shards("c")[0].attrs["classes"]]
    theirs = [["cat", "dog"].index(names[l]) if l >= 0 and names[l] in ("cat", "dog") else -1 for l in column("c", "label")[[1, 5, 6, 9]]]
    check(-1 in theirs and len(set(theirs)) == 3, "a case that does not do what it is for")
    check(predicted("p", "label")[0].tolist() == [*column("a", "label"), *labels, *theirs], f"labels {predicted('p', 'label')[0]}")
    # its name is what it says but for where things lie
    plain = sets(*({k: v for k, v in e.items() if k not in OF_PEOPLE} for e in read("list.json")["sets"]), classes=["cat", "dog"])
    check(digest == canonical(plain), f"its digest is {digest}")
    pathlib.Path("moved").mkdir(exist_ok=True)
    for name in "abc":
        shutil.copytree(name, f"moved/{name}", dirs_exist_ok=True)
    shutil.copy("list.json", "moved/list.json")  # paths are from the list's folder on
    infer("moved/list.json", "q")
    check(predicted("q", "id")[1] == digest and (predicted("q", "prob")[0] == predicted("p", "prob")[0]).all(), "the same list somewhere else")
    # the images are those rows': each as in its own set
    for name, own in (("a", range(12)), ("b", rows), ("c", [1, 5, 6, 9])):
        if name != "c":
            infer(name, f"p-{name}")
        else:  # its classes are none of the model's: alone it is refused
            check("class" in infer(name, "p-c", wanted=65), "classes in another order")
            continue
        alone, _ = predicted(f"p-{name}", "prob")
        at = [int(np.flatnonzero(ids == whole[name][i])[0]) for i in own]
        check((predicted("p", "prob")[0][at] == alone[list(own)]).all(), f"other images than those of {name}")
    # by two ranks, and by an array's tasks
    done = subprocess.run([NS, "infer", "--data", "list.json", "--out", "parts/00000", "--part", "0/1", "--registry", "reg", "--infer.precision=f32"],
                          capture_output=True, text=True, check=False)
    check(done.returncode == 0, done.stderr)
    # a set without classes comes first: it gets those of the next; what is of other classes than the model's is refused as it is alone
    write("order.json", sets(entry("b"), entry("a")))
    infer("order.json", "p-order")
    check(predicted("p-order", "label")[0].tolist() == [-1] * 12 + column("a", "label").tolist(), "labels of a list that begins without classes")
    run("train", "--data", "order.json", "--out", "m-order", "--registry", "reg", *NET)
    check(read("m-order/model.json")["classes"] == ["cat", "dog"], "classes of a list that begins without any")
    check("cat" in run("look", "order.json"), "look at a list")
    write("order.json", sets(entry("b"), entry("c")))
    check("class" in infer("order.json", "refused", wanted=65), "classes of the second set")
    # a name that is no text is kept in hexadecimal
    odd = os.fsdecode(b"s\xe9te")
    shutil.copytree("a", odd)
    write("odd.json", sets({"path": "s?te", "bytes": os.fsencode(folder(odd)).hex(), "digest": entry("a")["digest"]}))
    infer("odd.json", "p-odd")
    check(predicted("p-odd", "id")[1] == entry("a")["digest"], "a path that is not UTF-8")
    write("one.json", sets(entry("a"), classes=["dog", "cat"]))
    run("train", "--data", "one.json", "--out", "m-one", "--registry", "reg", *NET)
    check(read("m-one/model.json")["training_data"] == canonical(sets({"digest": entry("a")["digest"]}, classes=["dog", "cat"])), "the same images, classed otherwise")
    # a list of one set as it is is that set
    write("one.json", sets(entry("a")))
    infer("one.json", "p-one")
    check(predicted("p-one", "id")[1] == read("a/dataset.json")["digest"], "a list of one set is another set")
    for k in range(2):
        check(pathlib.Path(f"p-one/predictions-{k:05}.h5").read_bytes() == pathlib.Path(f"p-a/predictions-{k:05}.h5").read_bytes(), "and other bytes")
    # drift takes it for a data set, and so does a training
    run("drift", "--reference", "list.json", "--current", "a", "--out", "drifted", "--drift.self_test=0", "--drift.permutations=19")
    check(read("drifted/drift.json")["reference"]["rows"] == 21, "drift of a list")
    run("train", "--data", "list.json", "--out", "m2", "--registry", "reg", *NET)
    check(read("m2/model.json")["training_data"] == digest, "what it was trained on")
    check(read(f"reg/objects/{digest[:2]}/{digest[2:]}") == plain, "the registry does not say which rows")


def damaged(_binary):
    """what is not as the list says is refused by name"""
    world()
    for what, value, words, code in (
            ("no sets", sets(), "sets has 0", 65),
            ("another set", sets({**entry("a"), "digest": "0" * 64}), "another data set", 77),
            ("a set that is gone", sets(entry("a"), {**entry("b"), "path": "gone", "night": "window 7"}), "of night window 7", 74),
            ("no path", sets({"digest": "0" * 64}), "has no path", 65),
            ("rows that go back", sets(entry("a", rows=[3, 2])), "a row", 65),
            ("a row twice", sets(entry("a", rows=[3, 3])), "a row", 65),
            ("a row beyond the end", sets(entry("a", rows=[12])), "a row", 65),
            ("a row that is none", sets(entry("a", rows=["1"])), "a row", 65),
            ("a half row", sets(entry("a", rows=[1.5])), "a row", 65),
            ("no rows", sets(entry("a", rows=[])), "names no row", 65),
            ("rows that are no list", sets(entry("a", rows={"1": 2})), "lists of rows", 65),
            ("too few labels", sets(entry("a", rows=[1, 2], labels=[0]), classes=["cat", "dog"]), "labels", 65),
            ("a label of no class", sets(entry("a", rows=[1], labels=[2]), classes=["cat", "dog"]), "a label", 65),
            ("labels of nothing", sets(entry("a", rows=[1], labels=[0])), "the list's classes", 65),
            ("classes that are no texts", sets(entry("a"), classes=["cat", 1]), "classes", 65),
            ("no class at all", sets(entry("a"), classes=[]), "classes", 65),
            ("a class twice", sets(entry("a"), classes=["cat", "cat"]), "and so is class 0", 65),
            ("a key that is mistyped", sets({**entry("a"), "row": [1]}), "unknown key 'row'", 65),
            ("another, above", {**sets(entry("a")), "class": ["cat"]}, "unknown key 'class'", 65),
            ("bytes that are none", sets({**entry("a"), "bytes": "4"}), "in hexadecimal", 65),
            ("another schema", {**sets(entry("a")), "schema": "nightshift.sets/2"}, "schema", 65)):
        write("bad.json", value)
        text = infer("bad.json", "bad", wanted=code)
        check(words in text and ("bad.json" in text or what == "another set"), f"{what}: {text}")
        check(not pathlib.Path("bad").exists(), f"{what}: something was published")
    pathlib.Path("bad.json").write_text('{"schema": "nightshift.sets/1", "sets": [', encoding="utf-8")
    check("line 1" in infer("bad.json", "bad", wanted=65), "cut off")
    write("inner.json", sets(entry("a")))
    write("bad.json", sets({"path": "inner.json", "digest": entry("a")["digest"]}))
    check("is a list itself" in infer("bad.json", "bad", wanted=65), "a list in a list")
    # a shard that was changed since
    shutil.copytree("a", "changed")
    victim = pathlib.Path("changed/shard-00001.h5")
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    write("bad.json", sets(entry("changed")))
    infer("bad.json", "bad", wanted=77)


def alike(_binary):
    """images of another size cannot be in one batch; files of any kind can"""
    world()
    run("ingest", "photos/b", "--out", "large", "--ingest.size=16x16")
    write("bad.json", sets(entry("a"), entry("large")))
    check("of the same list" in infer("bad.json", "bad", wanted=65), "two sizes")
    for name in "ab":
        run("ingest", f"photos/{name}", "--out", f"files-{name}", "--ingest.encoding=encoded", "--ingest.shard_rows=5")
    write("files.json", sets(entry("files-a", rows=[0, 6, 7]), entry("files-b", rows=[11])))
    infer("files.json", "p-files")
    infer("files-a", "p-files-a")
    check((predicted("p-files", "prob")[0][:3] == predicted("p-files-a", "prob")[0][[0, 6, 7]]).all(), "files of chosen rows are others")
    write("bad.json", sets(entry("a"), entry("files-a")))
    check("of the same list" in infer("bad.json", "bad", wanted=65), "pixels and files")


# --- one release, of a gate that is made by hand ---

def made(_binary):
    """of the windows after the alarm those that did not teach; of the rows that taught those that people labelled and that are not there yet"""
    world()
    draw = np.random.default_rng(6)
    for name in "def":
        pathlib.Path("photos", name).mkdir(parents=True)
        for i in range(12):
            pathlib.Path("photos", name, f"{i:02}.png").write_bytes(tiny.png(8, 8, draw.integers(0, 256, 64, dtype="u1").tobytes()))
        run("ingest", f"photos/{name}", "--out", name, "--ingest.shard_rows=5", "--ingest.size=8x8")
    at = lambda name, **more: {**entry(name, **more), "path": folder(name)}
    for least, moved in ((24, True), (25, False)):
        n = gate.Night(NS, gate=f"{{reference_rows: {least}}}").begun().evaluated(gate.NEW, gate.OLD)
        put = lambda value, n=n: n.put(json.dumps(value).encode())
        n.b = put({"schema": "nightshift.model/1", "name": "B", "classes": ["cat", "dog"], "temperature": 1.5, "weights": n.put(b"weights of B")})
        n.model_is("changed/candidate", n.b)
        replay = sets(at("a"), at("b", rows=[0, 1], labels=[0, 1]), classes=["cat", "dog"])
        before = put({"schema": "nightshift.release/1", "model": n.a, "previous": "", "how": "", "reference": put(sets(at("a"))), "replay": put(replay),
                      "test": put(sets(at("a"))), "calibration": {}, "thresholds": {}, "evidence": {}})
        n.log_is((before, "first", ""))
        rows = [(0, 4, 0, 0), (1, 0, 1, 0), (1, 2, 0, 0), (1, 3, 1, 1), (1, 5, -1, 1), (2, 7, 1, 0)]  # data set, row, label, source: 1 is a model
        with h5py.File(n.night / "changed/selection.h5", "w") as f:
            f.attrs["schema"] = np.bytes_("nightshift.selection/1")
            for i, (name, kind) in enumerate((("set", "u4"), ("row", "u8"), ("label", "i4"), ("source", "u1"))):
                f[name] = np.array([r[i] for r in rows], kind)
            f["id"] = np.array([int(column("abd"[r[0]], "id")[r[1]]) for r in rows], "u8")
            f["repeat"] = np.ones(len(rows), "u4")
        gate.write(n.night / "changed/retrain.json", {"predicate": {"data": {"datasets": [at("a"), at("b"), at("d")]}}})
        windows = [{"window": i, "day": i, "since_change": i > 1, "path": folder(x) if x != "gone" else "/nowhere/gone",
                    "digest": entry(x)["digest"] if x != "gone" else "0" * 64} for i, x in enumerate(("a", "b", "d", "e", "gone", "f"), 1)]
        gate.write(n.night / "changed/drift.json", {**gate.read(n.night / "changed/drift.json"), "windows": windows})
        n.gate()
        now = n.object(gate.read(n.registry / "log/production/000002.json")["new"])
        said = {key: [(e["path"], e.get("rows"), e.get("labels")) for e in n.object(now[key])["sets"]] for key in ("reference", "replay", "test")}
        whole = lambda *names: [(folder(x), None, None) for x in names]
        check(said["reference"] == (whole("e", "f") if moved else whole("a")), f"of at least {least} rows: {said['reference']}")
        check(said["replay"] == [*whole("a"), (folder("b"), [0, 1], [0, 1]), (folder("b"), [2], [0]), (folder("d"), [7], [1])], f"{said['replay']}")
        check(said["test"] == whole("a") and now["calibration"] == {"temperature": 1.5} and now["previous"] == before, f"{now}")


# --- releases over nights ---

class Site:
    def __init__(self, name):
        os.makedirs(name)
        os.chdir(name)
        self.nights = 0
        train, test = thirty.images("train", 1, 900, 900, False), thirty.images("test", 2, 300, 300, False)
        self.first = f"train: {train}\n  test: {test}\n  split: {{train: 600, reference: 300}}\n  audited: 0"

    def night(self, dim, labels=60, fails=False):
        k = self.nights
        self.nights += 1
        source = thirty.images(f"images{k:02}", 100 + k, 200, labels, dim)
        if not fails:
            return thirty.run(NS, f"{k:02}", source, thirty.START + k, self.first if k == 0 else "prepared: nights/00/prepare")
        pathlib.Path("fails.yaml").write_text(thirty.CONFIG.format(prepared="prepared: nights/00/prepare", source=source), encoding="utf-8")
        done = subprocess.run([NS, "night", "--config", "fails.yaml", "--out", f"nights/{k:02}"], capture_output=True, text=True, check=False)
        return done


def thing(digest, registry="registry"):
    return read(f"{registry}/objects/{digest[:2]}/{digest[2:]}")


def production(registry="registry"):
    return pathlib.Path(registry, "refs/production").read_text(encoding="utf-8").strip()


def listed(release, key):
    """[(path, rows or None, labels or None)] of a list of the release"""
    return [(e["path"], e.get("rows"), e.get("labels")) for e in thing(release[key])["sets"]]


def folder(name):
    return str(pathlib.Path(name).resolve())


def first_release():
    now = thing(production())
    model = tiny.digest(pathlib.Path("nights/00/prepare/model/model.json"))
    check((now["schema"], now["model"], now["previous"], now["how"]) == ("nightshift.release/1", model, "", "first model of this site"), f"the first release: {now}")
    check(now["calibration"]["temperature"] == read("nights/00/prepare/model/model.json")["temperature"], "its calibration")
    for key, path in (("reference", "data/reference"), ("replay", "data/train"), ("test", "test")):
        check(listed(now, key) == [(folder(f"nights/00/prepare/{path}"), None, None)], f"its {key}: {listed(now, key)}")
    check("(model" in run("registry", "list") and model[:12] in run("registry", "log", "production"), "list and log name its model")
    return production()


def promoted_release(k, first, moved=True):
    """the release by which the candidate of an alarm became production on night k, its parts found again"""
    now, trial = thing(production()), read(f"nights/{k:02}/night/trial.json")
    candidate, alarm = trial["candidate"], next(a for a in range(k, -1, -1) if pathlib.Path(f"nights/{a:02}/night/gate.json").exists()
                                                and read(f"nights/{a:02}/night/gate.json")["candidate"] == trial["candidate"])
    check((now["model"], now["previous"], now["how"]) == (candidate, first, "passed its gate") and trial["release"] == production(), f"the release: {now}")
    check(abs(now["thresholds"]["accuracy"] - trial["correct"] / trial["labelled"]) < 1e-8 and abs(now["thresholds"]["labels"] - trial["rows"]) < 1e-6, f"what it is held to: {now['thresholds']}")
    check(now["evidence"]["gate"] == trial["gate"] and all(pathlib.Path(f"registry/objects/{d[:2]}/{d[2:]}").exists() for d in now["evidence"].values()), "its evidence")
    manifest = thing(now["evidence"]["manifest"])["predicate"]["data"]["datasets"]
    with h5py.File(f"nights/{alarm:02}/night/selection.h5") as s:
        of, row, label, source = (s[c][:] for c in ("set", "row", "label", "source"))
        taught_ids = set(s["id"][:].tolist())
    taught = []
    for i, d in enumerate(manifest[1:], 1):
        by_row = sorted((int(r), int(l)) for r, l in zip(row[(of == i) & (source == 0)], label[(of == i) & (source == 0)]) if l >= 0)
        if by_row:
            taught.append((d["path"], [r for r, _ in by_row], [l for _, l in by_row]))
    check(listed(now, "replay") == [(folder("nights/00/prepare/data/train"), None, None), *taught] and taught, f"its replay: {listed(now, 'replay')}")
    judged = []
    for vote in trial["votes"]:
        path = f"nights/{alarm if not vote['folder'] else int(pathlib.Path(vote['folder']).parent.name):02}/night/images"
        images = {int(x, 16) for x in thing(vote["images"])["images"]} if vote["rows"] else set()
        ids, labels = column(path, "id"), column(path, "label")
        rows = [i for i in range(len(ids)) if int(ids[i]) in images - taught_ids]
        if rows:
            judged.append((folder(path), rows, [int(labels[i]) for i in rows]))
    check(listed(now, "test") == [(folder("nights/00/prepare/test"), None, None), *judged] and judged, f"its test: {listed(now, 'test')}")
    check(sum(len(r) for _, r, _ in judged) == trial["labelled"], "the rows that judged")
    taught_digests = {d["digest"] for d in manifest}
    windows = [folder(f"nights/{a:02}/night/images") for a in range(alarm + 1, k + 1)
               if read(f"nights/{a:02}/night/images/dataset.json")["digest"] not in taught_digests]
    if not moved:
        windows = [p for p, _, _ in listed(thing(first), "reference")]
    check([p for p, _, _ in listed(now, "reference")] == windows and windows, f"its reference: {listed(now, 'reference')}, wanted {windows}")
    return production()


def used(k, step):
    return {i["digest"] for i in read(f"nights/{k:02}/night/{step}/run.json")["inputs"] if i["what"] == "dataset"}


def list_digest(release, key):
    entries = thing(release[key])["sets"]
    plain = [{k: v for k, v in e.items() if k not in OF_PEOPLE} for e in entries]
    classes = thing(release[key]).get("classes")
    if len(plain) == 1 and set(plain[0]) == {"digest"} and not classes:
        return plain[0]["digest"]
    return canonical(sets(*plain, **({"classes": classes} if classes else {})))


def drill(site, release):
    """a night by that release: it infers over its reference with its model"""
    s, d, _ = site.night(True)
    k = site.nights - 1
    check(s["production"] == release["model"] or s["promoted"], "whose night it was")
    check(used(k, "reference") == {list_digest(release, "reference")}, f"night {k} used another reference: {used(k, 'reference')}")
    return s, d


def nights(_binary):
    site, plain = Site("site"), thirty.CONFIG
    thirty.CONFIG = plain.replace("device: cpu", "gate: {{reference_rows: 100}}\ndevice: cpu")
    for _ in range(3):
        site.night(False)
    first = first_release()
    said = []
    while not said or not said[-1][0]["promoted"]:
        check(len(said) < 9, "no candidate was promoted")
        said.append(site.night(True, labels=60 if len(said) != 2 else 0))  # a night without labels is in between
        if len(said) > 2 and "waiting" in said[-2][2].get("state", ""):  # a candidate was on trial when this night asked
            page = pathlib.Path(f"nights/{site.nights - 1:02}/night/drift.html").read_text(encoding="utf-8")
            check(said[-1][1]["next"]["do"] == "nothing" and "The model suffers: a retraining is due" not in page and "A candidate is on trial" in page,
                  f"while a candidate is on trial: {said[-1][1]['next']}")
        if said[-1][2].get("state") == "waiting":
            kept_while_on_trial(site)
    k = site.nights - 1
    check(said[-1][0]["next"]["do"] == "nothing" and said[-1][0]["next"]["say"].startswith("A better model"), f"promoted, and: {said[-1][0]['next']}")
    check(said[-1][0]["release"] == production(), "the summary's release")
    second = promoted_release(k, first)
    _, d = drill(site, thing(second))
    check(d["status"] == "none" and d["reference"]["rows"] == sum(len(column(p, "id")) for p, _, _ in listed(thing(second), "reference")), f"the night after: {d['status']}")
    # back: all of it; and forward again, to the very release
    run("registry", "rollback", "production", "--why", "to see")
    check(production() == first, "a rollback goes to the release before")
    s, d = drill(site, thing(first))
    check(d["status"] == "harmful", f"the old model on the new camera: {d['status']}")
    if pathlib.Path(f"nights/{site.nights - 1:02}/night/production-test/run.json").exists():
        check(used(site.nights - 1, "production-test") == {list_digest(thing(first), "test")}, "the test that judged")
    run("registry", "promote", "production", thing(second)["model"], "--override", "--why", "forward again")
    check(production() == second, "a promotion by hand goes to the release that the model had")
    missing(site, thing(second))
    accepted(site, second)
    retained(site)
    run("registry", "gc", "--registry.gc_hours=0")
    run("registry", "verify")
    os.chdir("..")
    thirty.CONFIG = plain


def at_once(_binary):
    """all images have labels: half of them calls for the retraining, and the other half lets it through on the same night. Nothing that did not teach is there yet"""
    site, plain = Site("site-at-once"), thirty.CONFIG
    thirty.CONFIG = plain.replace("device: cpu", "gate: {{old_floor: -0.2, old_estimate: -0.1}}\ndevice: cpu")
    site.night(False, labels=200)
    first = first_release()
    site.night(False, labels=200)
    s, _, t = site.night(True, labels=200)
    check(s["promoted"] and len(t["votes"]) == 1 and t["rows"] == 100, f"a case that does not do what it is for: {s['next']}, {t}")
    promoted_release(2, first, moved=False)
    os.chdir("..")
    thirty.CONFIG = plain


def odd_name(_binary):
    """below a folder whose name is not UTF-8"""
    site = Site(os.fsdecode(b"site-\xe9"))
    site.night(False)
    entries = [thing(thing(production())[key])["sets"][0] for key in ("reference", "replay", "test")]
    check([bytes.fromhex(e["bytes"]) for e in entries] == [os.fsencode(folder(f"nights/00/prepare/{x}")) for x in ("data/reference", "data/train", "test")], f"{entries}")
    _, d, _ = site.night(False)
    check(d["status"] == "none" and used(1, "reference") == {entries[0]["digest"]}, "the night after it")
    text = run("registry", "retain", "nights", "--registry.days=0", env={"SOURCE_DATE_EPOCH": str(int(pathlib.Path("nights/00/run.json").stat().st_mtime) + 86400)})
    check("prepare/data" in text and "0 results" not in text, f"retain there: {text}")
    os.chdir("..")


def kept_while_on_trial(site):
    """the nights that vote are counted again as long as the trial is open, and what taught the candidate will be replayed"""
    later = {"SOURCE_DATE_EPOCH": str(int(pathlib.Path("nights/00/run.json").stat().st_mtime) + 200 * 86400)}
    keep = {l.split()[1].rstrip(":") for l in run("registry", "retain", "nights", env=later).splitlines() if l.startswith("keep") and "open trial" in l}
    trial = read(f"nights/{site.nights - 1:02}/night/trial.json")
    votes = {int(pathlib.Path(v["folder"]).parent.name) for v in trial["votes"] if v["folder"]}
    taught = {d["path"] for d in thing(thing(trial["gate"])["evidence"]["manifest"])["predicate"]["data"]["datasets"]}
    for k in range(site.nights):
        for result in ("predictions", "trial-predictions", "images"):
            path = f"nights/{k:02}/night/{result}"
            wanted = pathlib.Path(path).exists() and (k in votes or folder(path) in taught)
            check((path in keep) == wanted, f"{path} of a trial that is open: kept {path in keep}")


def missing(site, release):
    """a window of the reference is gone: the night says which, of which night, and nothing is lost"""
    path = listed(release, "reference")[0][0]
    window = thing(release["reference"])["sets"][0]["night"]
    shutil.move(path, path + ".away")
    done = site.night(True, fails=True)
    check(done.returncode == 74 and path in done.stderr and window in done.stderr, f"a window that is gone: {done.returncode} {done.stderr[-600:]}")
    shutil.move(path + ".away", path)
    again = subprocess.run([NS, "night", "--config", "fails.yaml", "--out", f"nights/{site.nights - 1:02}"], capture_output=True, text=True, check=False)
    check(again.returncode == 0, f"and it is back: {again.stderr[-600:]}")


def accepted(site, second):
    """the old camera is back: a person takes that for usual"""
    quiet = site.nights - 1
    check("nothing to accept" in run("registry", "accept", f"nights/{quiet:02}/night", "--why", "no", wanted=64), "an alarm that is not open")
    run("registry", "accept", "nights/00/night", wanted=64)
    s, d, _ = site.night(False)
    k = site.nights - 1
    check(d["status"] in ("material", "harmful"), f"the old camera is back: {d['status']}")
    text = run("registry", "accept", f"nights/{k:02}/night", "--why", "the old camera is back")
    now = thing(production())
    check((now["model"], now["previous"], now["how"]) == (thing(second)["model"], second, "an alarm was accepted"), f"accepted: {now}")
    check(now["thresholds"] == {"accuracy": None, "labels": 0} and now["evidence"] == {"drift": tiny.digest(pathlib.Path(f"nights/{k:02}/night/drift.json"))}, "accepted")
    check([p for p, _, _ in listed(now, "reference")] == [folder(f"nights/{k:02}/night/images")] and "1 window" in text, f"its reference: {listed(now, 'reference')}")
    check(all(now[key] == thing(second)[key] for key in ("replay", "test")), "accepted, and other rows teach or judge")
    check("was judged under release" in run("registry", "accept", f"nights/{k:02}/night", "--why", "again", wanted=1), "what was accepted is accepted again")
    _, d, _ = site.night(False)
    check(d["status"] == "none" and used(site.nights - 1, "reference") == {list_digest(now, "reference")}, f"the night after it was accepted: {d['status']}")
    # it is held to what it does there, not to what its gate said of another camera
    prob, label, pred = (predicted(f"nights/{site.nights - 1:02}/night/reference", c)[0] for c in ("prob", "label", "pred"))
    sure, known = prob.max(axis=1), label >= 0
    base = sure.mean() + ((label == pred)[known] - sure[known]).mean()
    found = d["accuracy"]["all"]
    check(abs(found["baseline"] - base) < 1e-5 and found["baseline_labels"] == known.sum(), f"held to {found['baseline']}, wanted {base}")
    # a night is held to what its own release says, whatever was accepted since
    at = f"nights/{site.nights - 1:02}/night"
    run("drift", "--reference", f"{at}/reference", "--current", f"{at}/predictions", "--out", "held", "--drift.history=registry.history", "--drift.self_test=0",
        "--drift.permutations=19", "--registry", "registry", f"--drift.release={second}")
    check(abs(read("held/drift.json")["accuracy"]["all"]["baseline"] - thing(second)["thresholds"]["accuracy"]) < 1e-6, "held to another release")
    shutil.rmtree("held")
    # a night of another model is not what a person looks at
    run("registry", "promote", "production", thing(production())["model"], "--why", "itself")
    check(thing(production())["how"] == "an alarm was accepted", "promoting what is production moves nothing")
    write(f"nights/{k:02}/night/production.json", {"schema": "nightshift.pin/1", "what": "production",
                                                  "value": tiny.digest(pathlib.Path("nights/00/prepare/model/model.json"))})
    check("was judged under release" in run("registry", "accept", f"nights/{k:02}/night", "--why", "no", wanted=1), "a night of another model")
    write(f"nights/{k:02}/night/production.json", {"schema": "nightshift.pin/1", "what": "production", "value": second})


def said(text, word):
    """paths of the lines that begin so"""
    return {l[8:].rsplit(": ", 1)[0] if word != "leave" else l[8:].split(": ")[0] for l in text.splitlines() if l.startswith(word)}


def retained(site):
    """half a year later: what releases need stays, the rest may go, and nothing goes that nobody asked to remove"""
    later = {"SOURCE_DATE_EPOCH": str(int(pathlib.Path("nights/00/run.json").stat().st_mtime) + 200 * 86400)}
    before, last = tiny.tree(pathlib.Path("nights")), f"{site.nights - 1:02}"
    retain = lambda *more, folder="nights", **how: run("registry", "retain", folder, "--registry.releases=2", *more, env=later, **how)
    check("0 results" in run("registry", "retain", "nights", "--registry.days=0.5"), "nights of today may go")
    text = retain()
    check(tiny.tree(pathlib.Path("nights")) == before, "it removed what it was only asked about")
    chain = [production(), thing(production())["previous"]]
    check(len(set(chain)) == 2 and all(thing(r) for r in chain), "production, and what a rollback goes to")
    needed = {p for r in chain for key in ("reference", "replay", "test") for p, _, _ in listed(thing(r), key)}
    keep, go = said(text, "keep"), said(text, "may go")
    check({folder(x) for x in keep} == {folder(p) if not p.endswith(("train", "reference")) else folder(pathlib.Path(p).parent) for p in needed}, f"kept: {keep}, needed {needed}")
    for k in range(site.nights):
        check(f"nights/{k:02}/night/predictions" in go and f"nights/{k:02}/night/drift" not in go | keep, f"night {k}: {sorted(go)[:9]}")
    # a rollback goes to another release, and what only the one rolled back named may go
    accepted_window = next(p for p, _, _ in listed(thing(production()), "reference"))
    run("registry", "rollback", "production", "--why", "to see")
    text = retain()
    check(folder(accepted_window) in {folder(x) for x in said(text, "may go")} and any("05/night/images" in x or "06/night/images" in x for x in said(text, "keep")), f"rolled back: {text}")
    run("registry", "promote", "production", chain[0], "--why", "forward again")
    # the same nights under another path; nights of another registry among them; what is not ours alone
    shutil.copytree("nights", "copy", copy_function=shutil.copy2)
    for pin in ("prepare", "night"):
        write(f"copy/{last}/{pin}/production.json", {"schema": "nightshift.pin/1", "what": "production", "value": "0" * 64})
    pathlib.Path("copy/02/night/predictions/notes.txt").write_text("mine\n")
    shutil.move("copy/01/night/images", "archive")
    os.symlink(folder("archive"), "copy/01/night/images")
    text = retain(folder="copy")
    check({x.replace("copy", "nights") for x in said(text, "keep")} == keep, f"the same nights elsewhere: {said(text, 'keep')}")
    left = {f"copy/{last}", "copy/02/night/predictions", "copy/01/night/images"}
    check(said(text, "leave") == left and "of another registry" in text and "is a link" in text and "notes.txt" in text, f"left: {said(text, 'leave')}")
    text = retain("--registry.remove", folder="copy")
    check(said(text, "leave") == left and len(said(text, "removed")) > 10 and pathlib.Path("copy/02/night/predictions/notes.txt").exists(), f"removed: {text}")
    check(len(list(pathlib.Path("archive").iterdir())) > 1, "what a link leads to was removed")
    shutil.rmtree("copy")
    # what is needed and not in sight, or cannot be read: nothing goes
    away = listed(thing(production()), "test")[-1][0]
    shutil.move(away, "away")
    check("is not there as seen from here" in retain("--registry.remove", wanted=1), "a window that is needed is gone")
    shutil.move("away", away)
    shutil.copytree("registry", "registry-2")
    trial = read(sorted(pathlib.Path("registry/log/trial").glob("*.json"))[-1])["new"]
    broken = pathlib.Path(f"registry-2/objects/{trial[:2]}/{trial[2:]}")
    broken.chmod(0o644)
    broken.write_text("{")
    check("cannot be read" in retain("--registry", "registry-2", "--registry.remove", wanted=1), "a trial that cannot be read")
    # of a candidate that waits for a person the release is needed, too
    for old in pathlib.Path("registry-2/log/production").glob("*.json"):
        if old.name != "000001.json":
            old.unlink()
    first = production_entry("registry-2", 0)
    held = json.dumps({**thing(trial), "state": "held", "release": chain[1], "production": thing(first)["model"], "votes": thing(trial)["votes"][:1]}).encode()
    digest = hashlib.sha256(held).hexdigest()
    pathlib.Path(f"registry-2/objects/{digest[:2]}").mkdir(exist_ok=True)
    pathlib.Path(f"registry-2/objects/{digest[:2]}/{digest[2:]}").write_bytes(held)
    entries = sorted(pathlib.Path("registry-2/log/trial").glob("*.json"))
    write(entries[-1], {**read(entries[-1]), "new": digest})
    text = run("registry", "retain", "nights", "--registry.releases=1", "--registry", "registry-2", env=later)
    wanted = {p for key in ("reference", "replay", "test") for p, _, _ in listed(thing(chain[1]), key) if "/prepare/" not in p}
    check(wanted and wanted <= {folder(x) for x in said(text, "keep")}, f"the release of a held trial: {said(text, 'keep')}, wanted {wanted}")
    # operands
    check("expected 1 operands" in retain("more", wanted=64) and "holds no folder of a night" in retain(folder=f"nights/{last}", wanted=64), "operands")
    text = retain("--registry.remove")
    check(all(not pathlib.Path(g).exists() for g in go) and all(pathlib.Path(p).exists() for p in needed) and len(go) > site.nights, "removed and kept")
    gone = set(before) - set(tiny.tree(pathlib.Path("nights")))
    check(all(any(f"nights/{g}".startswith(x + "/") for x in go) for g in gone), "something else went, too")
    check("0 results" in retain("--registry.remove"), "and again")
    run("report", "--site", "nights")
    _, d, _ = site.night(False)
    check(d["status"] == "none", f"a night after the others were thinned out: {d['status']}")


def upgrade(_binary):
    """a registry from before there were releases: it works as it did, and becomes one that has them"""
    world()
    shutil.copytree("reg", "old")
    old = production("old")
    check("weights" in thing(old, "old"), "a case that does not do what it is for")
    check("no ref" in run("registry", "upgrade", "--registry", "nowhere", wanted=74), "nothing to upgrade")
    check("upgrade" in run("registry", "retain", ".", "--registry", "old", wanted=1), "nobody knows what may go")
    for name, source in (("prepared/data/reference", "a"), ("prepared/test", "c")):
        shutil.copytree(source, name)
    for args in ((), ("prepp",)):
        check("nothing was changed" in run("registry", "upgrade", *args, "--registry", "old", wanted=64) and production("old") == old, f"upgraded of nothing, {args}")
    text = run("registry", "upgrade", "prepared", "--registry", "old")
    now = thing(production("old"), "old")
    check((now["model"], now["previous"], now["how"], now["replay"]) == (old, old, "upgraded", None), f"upgraded: {now}")
    check(f"reference: {folder('prepared/data/reference')}" in text and "replay: not known" in text and "never on trial" in text, f"it says: {text}")
    lists_of = {key: [(e["path"], e["digest"]) for e in thing(now[key], "old")["sets"]] for key in ("reference", "test")}
    check(lists_of == {"reference": [(folder("prepared/data/reference"), entry("a")["digest"])], "test": [(folder("prepared/test"), entry("c")["digest"])]}, f"{lists_of}")
    again = run("registry", "upgrade", "prepared", "--registry", "old", wanted=64)
    check("has not what is missing" in again and thing(production("old"), "old") == now, f"upgraded twice: {again}")
    check("upgrade" in run("registry", "retain", ".", "--registry", "old", wanted=1), "it does not say what it replays, and so what may go")
    # what is missing is filled in later, what is there stays; and all of it is another preparation's where a person says so
    shutil.copytree("old", "filled")
    for name in ("other/data/reference", "other/data/train", "other/test"):
        shutil.copytree("a", name)
    run("registry", "upgrade", "other", "--registry", "filled")
    filled = thing(production("filled"), "filled")
    places = lambda release: [thing(release[key], "filled")["sets"][0]["path"] for key in ("reference", "replay", "test")]
    check(places(filled) == [folder("prepared/data/reference"), folder("other/data/train"), folder("prepared/test")], f"filled in: {places(filled)}")
    check("names all" in run("registry", "upgrade", "other", "--registry", "filled"), "what names all")
    run("registry", "upgrade", "other", "--override", "--why", "prepared anew", "--registry", "filled")
    check(places(thing(production("filled"), "filled")) == [folder(f"other/{x}") for x in ("data/reference", "data/train", "test")], "a new preparation")
    run("infer", "--data", "a", "--out", "by-release", "--registry", "old", "--threads=1", "--infer.precision=f32")
    check(predicted("by-release", "id")[1] == entry("a")["digest"] and h5py.File("by-release/predictions-00000.h5").attrs["model"].decode() == old, "whose model it is")
    check("reference" in run("registry", "show", "production", "--registry", "old"), "what production names")
    # another model by hand has the same rows; only production names releases; back is the old model alone
    run("train", "--data", "a", "--out", "model-2", "--registry", "old", "--seed=2", *NET)
    other = tiny.digest(pathlib.Path("model-2/model.json"))
    run("registry", "promote", "production", other, "--why", "by hand", "--registry", "old")
    by_hand = thing(production("old"), "old")
    check((by_hand["model"], by_hand["how"], by_hand["reference"], by_hand["previous"]) == (other, "by hand", now["reference"], canonical_of(now, "old")), f"by hand: {by_hand}")
    check("only production names one" in run("registry", "promote", "canary", production("old"), "--registry", "old", wanted=64), "a release as canary")
    run("registry", "rollback", "production", "--registry", "old")
    run("registry", "rollback", "production", "--registry", "old")
    check(production("old") == old, "back to the model alone")
    run("registry", "gc", "--registry.gc_hours=0", "--registry", "old")
    run("registry", "verify", "--registry", "old")
    # a release's model, and its model's weights, must be there
    for victim, words in ((other, "the object of its model"), (thing(other, "old")["weights"], "the object of its weights")):
        path = pathlib.Path(f"old/objects/{victim[:2]}/{victim[2:]}")
        path.rename("away")
        check(words in run("registry", "verify", "--registry", "old", wanted=74), f"a release without {words}")
        pathlib.Path("away").rename(path)
    run("registry", "verify", "--registry", "old")
    # a release whose object is gone: production says which, and when it was it
    victim = production_entry("old", -2)
    path = pathlib.Path(f"old/objects/{victim[:2]}/{victim[2:]}")
    path.rename("away")
    check("cannot be read" in run("registry", "log", "production", "--registry", "old"), "the log without an object")
    check(victim[:12] in run("registry", "promote", "production", other, "--why", "x", "--registry", "old", wanted=74), "an object that is gone")
    check(production("old") == old, "and it moved")


def production_entry(registry, at):
    return read(sorted(pathlib.Path(registry, "log/production").glob("*.json"))[at])["new"]


def canonical_of(release, registry):
    """the digest of an object of these words"""
    return next(o for o in tiny.objects(pathlib.Path(registry)) if pathlib.Path(registry, "objects", o[:2], o[2:]).read_bytes()[:1] == b"{" and thing(o, registry) == release)


if __name__ == "__main__":
    NS, *names = sys.argv[1:]
    for part in tiny.chosen((lists, damaged, alike, made, nights, at_once, odd_name, upgrade), names):
        part(NS)
    print(f"{tiny.checks} checks passed")
