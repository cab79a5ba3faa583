"""Labels go out and come in, by known answers: what is asked and why, the page that people label in, what they answered, and what becomes of it: for
label.sh.

usage: label.py NIGHTSHIFT [part ...], in an empty folder
"""
import csv
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys

import h5py
import numpy as np

import evaluate
import known
import tiny
from draws import AUDIT, draw
from tiny import check

CLASSES = ["ant", "bee", "cat"]


def run(binary, *args, wanted=0, said="", log=True):
    done = tiny.run(binary, [str(a) for a in args], ".")
    check(done.code == wanted and said in done.text, f"{' '.join(map(str, args))} exited {done.code}, wanted {wanted} and '{said}': {done.text[-900:]}")
    return done.text


def site(binary, rows=90):
    """90 images without labels but one in nine, their predictions, embeddings among them"""
    r = np.random.default_rng(8)
    for i in range(rows):
        path = pathlib.Path("photos", f"n'{i:03} <b>.png" if i == 5 else f"{i:03}.png")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tiny.png(9, 7, bytes(int(x) for x in r.integers(0, 256, 63))))
    listed = [{"file": f"photos/{p.name}", **({"label": CLASSES[i % 3]} if i % 9 == 0 else {})} for i, p in enumerate(sorted(pathlib.Path("photos").iterdir()))]
    pathlib.Path("list.jsonl").write_text("\n".join(map(json.dumps, listed)), encoding="utf-8")
    run(binary, "ingest", "list.jsonl", "--out", "data", f"--ingest.classes=[{', '.join(CLASSES)}]")
    with h5py.File(next(pathlib.Path("data").glob("*.h5"))) as f:
        id, label = f["id"][:], f["label"][:]
    prob = r.dirichlet(np.full(3, 0.7), rows).astype("f4")
    pred = prob.argmax(1)
    pred[pred == 2] = np.where(np.arange(np.sum(pred == 2)) < 3, 2, 0)  # few are taken for cats
    p = evaluate.Predictions(id, label, pred, prob, CLASSES)
    p.write("predictions")
    with h5py.File(next(pathlib.Path("predictions").glob("*.h5")), "a") as f:
        f["embedding"] = r.normal(size=(rows, 4)).astype("f4")
    evaluate.relist("predictions")
    return id, label, pred, prob


def queue_of(folder):
    return json.loads(pathlib.Path(folder, "queue.json").read_text(encoding="utf-8"))


def hexes(ids):
    return [f"{int(i):016x}" for i in ids]


def asked(binary):
    """the shares and their reasons, the chance of the random part, files for people and for programs"""
    id, label, pred, prob = site(binary)
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "q", "--label.rows=40", "--label.measure=0.4", "--registry", "r")
    q = queue_of("q")
    rows, open_rows = q["rows"], int(np.sum(label < 0))
    check(len(rows) == 40 and len({r["id"] for r in rows}) == 40 and q["candidates"] == open_rows == 80, f"queue: {len(rows)} rows, {q['candidates']}")
    by = {why: [r for r in rows if r["why"] == why] for why in ("random", "uncertain", "rare", "diverse")}
    check([len(by[w]) for w in by] == [16, 9, 4, 11], f"shares: {[len(by[w]) for w in by]}")
    check(all(label[r["row"]] < 0 and f"{int(id[r['row']]):016x}" == r["id"] for r in rows), "rows without a label, by their ids")
    check(all(abs(r["chance"] - 16 / 80) < 1e-9 for r in by["random"]) and all(r["chance"] is None for r in rows if r["why"] != "random"), "chances")
    check(all(r["predicted"] == CLASSES[pred[r["row"]]] for r in rows), "predicted classes")
    margin = np.sort(prob, 1)[:, 2] - np.sort(prob, 1)[:, 1]
    left = [i for i in range(90) if label[i] < 0 and i not in {r["row"] for r in by["random"]}]
    least = sorted(left, key=lambda i: margin[i])[:9]
    check({r["row"] for r in by["uncertain"]} == set(least), "the most uncertain of the others")
    left = [i for i in left if i not in least]
    count = np.bincount(pred, minlength=3)
    check(sorted(count[pred[r["row"]]] for r in by["rare"]) == sorted(sorted(count[pred[i]] for i in left)[:4]), "the rarest of the others")
    lines = [json.loads(x) for x in pathlib.Path("q/queue.jsonl").read_text(encoding="utf-8").splitlines()]
    check(lines == rows, "queue.jsonl")
    with open("q/queue.csv", newline="", encoding="utf-8") as f:
        table = list(csv.DictReader(f))
    check([(t["id"], t["file"], t["why"]) for t in table] == [(r["id"], r["file"], r["why"]) for r in rows], "queue.csv")
    studio = json.loads(pathlib.Path("q/label-studio.json").read_text(encoding="utf-8"))
    check([t["data"]["nightshift_id"] for t in studio] == [r["id"] for r in rows], "label-studio.json")
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "q2", "--label.rows=40", "--label.measure=0.4", "--registry", "r")
    check(queue_of("q2") == q, "asked again, it is the same queue")
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "q3", "--label.rows=40", "--label.measure=1", "--seed=2", "--registry", "r")
    check({r["why"] for r in queue_of("q3")["rows"]} == {"random"} and {r["id"] for r in queue_of("q3")["rows"]} != {r["id"] for r in rows}, "another seed")
    d = {"schema": "nightshift.drift/1", "current": {"digest": json.loads(pathlib.Path("predictions/predictions.json").read_text())["digest"]},
         "top": [{"row": int(i), "id": ""} for i in np.flatnonzero(label < 0)[::-1][:10]]}
    pathlib.Path("drift.json").write_text(json.dumps(d))
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "q4", "--label.rows=40", "--label.measure=0.4", "--label.drift=drift.json",
        "--registry", "r")
    moved = [r["row"] for r in queue_of("q4")["rows"] if r["why"] == "drifted"]
    random = {r["row"] for r in queue_of("q4")["rows"] if r["why"] == "random"}
    check(moved == [int(t["row"]) for t in d["top"] if t["row"] not in random][:6], f"drifted: {moved}")
    d["current"]["digest"] = "0" * 64
    pathlib.Path("drift.json").write_text(json.dumps(d))
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "refused", "--label.drift=drift.json", wanted=65, said="other predictions")


def page(binary):
    """the page is whole, asks for nothing, names are text; with node, keys answer and the file is one that is taken"""
    text = pathlib.Path("q/label.html").read_text(encoding="utf-8")
    check(text.count("<script>") == 1 and "n'005 <b>" not in text and "\\u003cb>" in text, "names are text")
    check(not re.search(r"src=\"http|href=\"http|@import|url\(|fetch\(|XMLHttpRequest", text), "the page asks for something from elsewhere")
    body = text.split("<script>")[1].split("</script>")[0]
    q = json.loads(body.split("const Q=", 1)[1].split(";\n", 1)[0])
    check(q["classes"] == CLASSES and [r["id"] for r in q["rows"]] == [r["id"] for r in queue_of("q")["rows"]] and q["show"] is False, "what the page knows")
    check(q["queue"] == tiny.digest("q/queue.json"), "the page's queue")
    check(all(r["image"].startswith("data:image/png;base64,iVBOR") for r in q["rows"]), "images are in the page")
    if not shutil.which("node"):
        print("SKIPPED: the page's keys: node is absent")
        return
    stub = """
const listeners={},made={};const node=id=>made[id]||(made[id]={id,value:'',children:[],classList:{toggle(){}},append(c){this.children.push(c)},focus(){this.focused=true},click(){}});
const document={getElementById:node,createElement:()=>({classList:{toggle(){}},click(){saved.push(this)}}),querySelectorAll:()=>node('classes').children,addEventListener:(n,f)=>listeners[n]=f};
const localStorage={s:{},getItem(k){return this.s[k]||null},setItem(k,v){this.s[k]=v}},window={},saved=[];let blob='';
const Blob=function(parts){blob=parts.join('')},URL={createObjectURL:()=>'blob:'};
"""
    keys = """
const press=k=>listeners.keydown({key:k,target:{tagName:'BODY'},preventDefault(){}});
press('1');press('2');press(' ');press('ArrowLeft');press('ArrowLeft');const back=node('place').textContent;press('3');press('Backspace');
press('9');press('ArrowRight');press('p');const guess=node('guess').textContent;press('Enter');const nobody=blob;node('by').value='anna b';press('Enter');
console.log(JSON.stringify({back,guess,nobody,blob,name:saved[0].download,stored:JSON.parse(localStorage.s['nightshift '+Q.queue]).length}));
"""
    pathlib.Path("page.js").write_text(stub + body + keys, encoding="utf-8")
    done = subprocess.run(["node", "page.js"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"the page's script: {done.stderr[-600:]}")
    said = json.loads(done.stdout)
    answers = [json.loads(x) for x in said["blob"].splitlines()]
    ids = [r["id"] for r in q["rows"]]
    # 1 and 2 answer the first two, space passes over the third; two back is the second, where 3 says cat, which goes on to the fourth; backspace takes back
    # nothing there; 9 is no class
    check([(a["id"], a["label"], a["by"]) for a in answers] == [(ids[0], "ant", "anna b"), (ids[1], "cat", "anna b"), (ids[2], None, "anna b")],
          f"answers by keys: {answers}")
    check(said["back"].startswith("Image 2 of 40") and said["nobody"] == "" and said["stored"] == 3, f"the page: {said}")
    check(said["guess"].startswith("The model says: ") and said["name"] == f"answers-{q['queue'][:8]}-anna-b.jsonl", f"the page: {said}")
    pathlib.Path("by-keys.jsonl").write_text(said["blob"], encoding="utf-8")
    text = run(binary, "label", "--queue", "q", "--answers", "by-keys.jsonl", "--registry", "keys")
    check("2 answers taken, 1 images passed over, 0 answers given twice; people disagree on 0 images" in text, f"taken: {text}")


def write(name, *lines):
    pathlib.Path(name).write_text("".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in lines), encoding="utf-8")
    return name


def objects(registry):
    return {p.parent.name + p.name for p in pathlib.Path(registry, "objects").glob("*/*")} if pathlib.Path(registry).exists() else set()


def answers(binary):
    """three formats that say the same; who disagrees; what is refused, named, with nothing taken"""
    rows = queue_of("q")["rows"]
    teach = [r for r in rows if r["why"] == "uncertain"][:6]  # half of the first twelve measure, half teach
    rows = rows[:6] + teach + [r for r in rows[6:] if r not in teach]
    ids = [r["id"] for r in rows]
    me = pwd.getpwuid(os.geteuid()).pw_name
    says = list(zip(ids[:12], (CLASSES * 4)))
    write("a.jsonl", *({"id": i, "label": c} for i, c in says))
    with open("a.csv", "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f)
        w.writerow(["file", "id", "note", "label"])
        w.writerows([["x,\n\"y", i, "", c] for i, c in says])
    task = lambda i, c: {"data": {"nightshift_id": i}, "annotations": [{"completed_by": {"email": me}, "created_at": "2026-11-28", "result": [
        {"from_name": "c", "value": {"choices": [c]}}]}]}
    write("a.json", json.dumps([task(i, c) for i, c in says]))
    kept = []
    for name in ("a.jsonl", "a.csv", "a.json"):
        shutil.rmtree("r", ignore_errors=True)
        check("12 answers taken, 0 images passed over" in run(binary, "label", "--queue", "q", "--answers", name, "--registry", "r"), name)
        log = json.loads(next(pathlib.Path("r/log/labels").glob("000001.json")).read_text())
        o = json.loads(pathlib.Path("r/objects", log["new"][:2], log["new"][2:]).read_text())
        check(o["schema"] == "nightshift.answers/1" and o["who"] == me and o["dataset"] == queue_of("q")["dataset"], f"{name}: {o}")
        kept.append([(r["id"], r["label"], r["by"], r["measures"]) for r in o["rows"]])
    check(kept[0] == kept[1] == kept[2] == [(i, c, me, rows[k]["why"] == "random") for k, (i, c) in enumerate(says)], f"kept: {kept}")
    before = objects("r")
    for name, line, said in (
            ("unknown id", {"id": "00000000000000aa", "label": "ant"}, "line 2: image 00000000000000aa was not asked for"),
            ("no class", {"id": ids[2], "label": "dog"}, "line 2: image " + ids[2] + ": 'dog' is none of the classes"),
            ("no id", {"label": "ant"}, "line 2: id is ''"), ("no label", {"id": ids[2]}, "line 2 has no label"),
            ("cut off", '{"id": "' + ids[2] + '", "la', "line 2 is no JSON object, and does not end"),
            ("no text", {"id": ids[2], "label": 3}, "line 2: label and by are texts"),
            ("another's queue", {"id": ids[2], "label": "ant", "queue": "0" * 64}, "line 2 answers another queue, 000000000000"),
            ("bytes of zero", '{"id": "' + ids[2] + '"}\0', "has bytes of zero"),
            ("against oneself", {"id": ids[0], "label": "cat"}, f"{me} says 'cat' of image {ids[0]}, and 'ant' in line 1")):
        text = run(binary, "label", "--queue", "q", "--answers", write("bad.jsonl", {"id": ids[0], "label": "ant"}, line), "--registry", "r", wanted=65, said=said)
        check("bad.jsonl" in text and objects("r") == before, f"{name}: {text}")
    for name, text, said in (("quotes", "id,label\n\"" + ids[0], "its quotes do not end"), ("fields", f"id,label\n{ids[0]},ant,more\n", "line 2 has 3 fields"),
                             ("header", "name,label\n", "names no column id"),
                             ("columns", "id,label,label\n", "names the column label twice"), ("lines", f"\n\nid,label\n{ids[0]},ant,more\n", "line 4 has 3 fields"), ("empty", "", "names no column id")):
        run(binary, "label", "--queue", "q", "--answers", write("bad.csv", text), "--registry", "r", wanted=65, said=said)
    run(binary, "label", "--queue", "q", "--answers", write("bad.json", json.dumps([{"data": {}, "annotations": []}])), "--registry", "r", wanted=65,
        said="task 1 has no data.nightshift_id")
    check(objects("r") == before, "what was refused left something behind")
    # two people, who disagree on one image; the first changes his mind on another
    write("b.jsonl", *({"id": i, "label": c, "by": "bob"} for i, c in [(ids[0], "bee"), says[1], (ids[2], "")]))
    text = run(binary, "label", "--queue", "q", "--answers", "b.jsonl", write("c.jsonl", {"id": says[1][0], "label": says[1][1], "by": "bob"}), "--registry", "r")
    check("2 answers taken, 1 images passed over, 1 answers given twice; people disagree on 1 images" in text and ids[0] in text, text)
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "again", "--label.rows=30", "--registry", "r")
    again = queue_of("again")["rows"]
    check(again[0]["why"] == "disputed" and again[0]["id"] == ids[0], f"what people disagree on is asked again: {again[0]}")
    measured = {r["id"] for r in rows[:12] if r["why"] == "random"} - {ids[0]}
    check(not measured & {r["id"] for r in again}, "what has a label that measures is asked again")
    taught = {r["id"] for r in rows[:12]} - measured - {ids[0]}
    check(len(measured) > 3 and len(taught) > 4, "a case that does not do what it is for")
    check(not taught & {r["id"] for r in again if r["why"] != "random"}, "what has a label is to teach again")
    run(binary, "label", "--queue", "again", "--answers", write("d.jsonl", {"id": ids[0], "label": "ant", "by": "bob"}), "--registry", "r")
    run(binary, "label", "--predictions", "predictions", "--data", "data", "--out", "settled", "--label.rows=30", "--registry", "r")
    check(all(r["why"] != "disputed" for r in queue_of("settled")["rows"]), "an answer that was changed settles it")


def back_and_forth(binary):
    """an answer that is given, changed and given again is three; the same file twice is one"""
    rows = queue_of("q")["rows"]
    one = next(r["id"] for r in rows if r["why"] == "random")
    shutil.rmtree("r", ignore_errors=True)
    for label, count in (("ant", 1), ("ant", 1), ("bee", 2), ("ant", 3), ("ant", 3)):
        run(binary, "label", "--queue", "q", "--answers", write(f"one-{label}.jsonl", {"id": one, "label": label}), "--registry", "r")
        check(len(list(pathlib.Path("r/log/labels").glob("*.json"))) == count, f"entries after {label}, wanted {count}")
    for until, wanted in ((2, "bee"), (3, "ant")):
        entry = json.loads(sorted(pathlib.Path("r/log/labels").glob("*.json"))[until - 1].read_text())["new"]
        pathlib.Path("m.json").write_text(json.dumps({"predicate": {"data": {"query": {"labels": entry}}}}))
        run(binary, "evaluate", "--predictions", "predictions", "--out", f"as-{until}", "--registry", "r", "--evaluate.manifest=m.json")
        e = json.loads(pathlib.Path(f"as-{until}/evaluation.json").read_text())
        with h5py.File(next(pathlib.Path("predictions").glob("*.h5"))) as f:
            at = hexes(f["id"][:]).index(one)
            right = int(np.sum((f["label"][:] >= 0) & (f["label"][:] == f["pred"][:]))) + (CLASSES[f["pred"][at]] == wanted)
        check(e["correct"] == right, f"as of entry {until}: {e['correct']}, wanted {right}")
    q = json.loads(pathlib.Path("q/queue.json").read_text())
    shutil.copytree("q", "odd-q", dirs_exist_ok=True)
    pathlib.Path("odd-q/queue.json").write_text(json.dumps({**q, "classes": [1]}))
    run(binary, "label", "--queue", "odd-q", "--answers", "one-ant.jsonl", "--registry", "r", wanted=65, said="is none of the classes")


def at_once(binary):
    """ten people who import at once: no answer is lost"""
    ids = [r["id"] for r in queue_of("q")["rows"]]
    shutil.rmtree("r", ignore_errors=True)
    names = [write(f"p{k}.jsonl", {"id": ids[k], "label": "ant", "by": f"p{k}"}) for k in range(10)]
    jobs = [subprocess.Popen([binary, "label", "--queue", "q", "--answers", n, "--registry", "r"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for n in names]
    for j in jobs:
        text = j.communicate()[1]
        check(j.returncode == 0, f"at once: {text}")
    found = set()
    for p in pathlib.Path("r/log/labels").glob("*.json"):
        d = json.loads(p.read_text())["new"]
        found |= {(r["id"], r["by"]) for r in json.loads(pathlib.Path("r/objects", d[:2], d[2:]).read_text())["rows"]}
    check(found == {(ids[k], f"p{k}") for k in range(10)}, f"at once: {len(found)} answers")
    run(binary, "registry", "gc", "--registry.gc_hours=0", "--registry", "r")
    run(binary, "registry", "verify", "--registry", "r")
    check(not list(pathlib.Path("r").glob("answers.*")), "temporary files are left")


def meet(binary):
    """labels that measure join predictions wherever they are judged, whatever window their image is in; those that teach do not"""
    rows = queue_of("q")["rows"]
    with h5py.File(next(pathlib.Path("predictions").glob("*.h5"))) as f:
        ids, label, pred = f["id"][:], f["label"][:], f["pred"][:]
    shutil.rmtree("r", ignore_errors=True)
    given = {r["id"]: CLASSES[int(pred[r["row"]])] if k % 4 else CLASSES[(int(pred[r["row"]]) + 1) % 3] for k, r in enumerate(rows[:30])}
    run(binary, "label", "--queue", "q", "--answers", write("m.jsonl", *({"id": i, "label": c} for i, c in given.items())), "--registry", "r")
    measures = {r["id"] for r in rows[:30] if r["why"] == "random"}
    now = label.copy()
    for k, i in enumerate(hexes(ids)):
        if i in measures:
            now[k] = CLASSES.index(given[i])
    run(binary, "evaluate", "--predictions", "predictions", "--out", "judged", "--registry", "r")
    e = json.loads(pathlib.Path("judged/evaluation.json").read_text())
    check((e["rows"], e["correct"]) == (int(np.sum(now >= 0)), int(np.sum((now >= 0) & (now == pred)))), f"labels that came later: {e['rows']}, {e['correct']}")
    run(binary, "drift", "--reference", "predictions", "--current", "predictions", "--out", "drifted", "--registry", "r", "--drift.self_test=0",
        "--drift.permutations=19")
    d = json.loads(pathlib.Path("drifted/drift.json").read_text())["performance"]
    check(d["audited"] == int(np.sum(now >= 0)), f"drift: {d['audited']} audited")
    inputs = {i["what"]: i["digest"] for i in json.loads(pathlib.Path("drifted/run.json").read_text())["inputs"]}
    newest = json.loads(sorted(pathlib.Path("r/log/labels").glob("*.json"))[-1].read_text())["new"]
    check(inputs.get("labels") == newest, f"drift's record of labels: {inputs}")
    # an object that is gone is named
    pathlib.Path("r/objects", newest[:2], newest[2:]).unlink()
    run(binary, "evaluate", "--predictions", "predictions", "--out", "gone", "--registry", "r", wanted=74, said=newest[:12])


def teach(binary):
    """a retraining is selected by what people said: those that measure, less the gate's half, and those that teach; executed, it knows what the manifest knew"""
    rows = queue_of("q")["rows"]
    shutil.rmtree("r", ignore_errors=True)
    done = tiny.run(binary, ["ingest", "list.jsonl", "--out", "plain", f"--ingest.classes=[{', '.join(CLASSES)}]"], ".")
    check(done.code == 0, done.text)
    lines = [json.loads(x) for x in pathlib.Path("list.jsonl").read_text(encoding="utf-8").splitlines()]
    pathlib.Path("old.jsonl").write_text("\n".join(json.dumps({**x, "label": x.get("label", CLASSES[k % 3])}) for k, x in enumerate(lines)), encoding="utf-8")
    pathlib.Path("new.jsonl").write_text("\n".join(json.dumps({"file": x["file"]}) for x in lines), encoding="utf-8")
    classes = f"--ingest.classes=[{', '.join(CLASSES)}]"
    small = ["--model.blocks=[1]", "--model.width=4", "--train.epochs=1", "--train.batch=8", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]
    for args in (["ingest", "old.jsonl", "--out", "old", classes], ["ingest", "new.jsonl", "--out", "new", classes],
                 ["train", "--data", "old", *small, "--registry", "r", "--out", "model"]):
        run(binary, *args)
    run(binary, "registry", "promote", "production", tiny.digest("model/model.json"), "--registry", "r")
    for data in ("old", "new"):
        run(binary, "infer", "--data", data, "--registry", "r", "--out", f"of-{data}", "--infer.precision=f32", "--threads=1")
    run(binary, "label", "--predictions", "of-new", "--data", "new", "--out", "nq", "--label.rows=60", "--registry", "r")
    given = {r["id"]: CLASSES[(CLASSES.index(r["predicted"]) + 1) % 3] for r in queue_of("nq")["rows"]}  # nothing is right
    measures = {r["id"] for r in queue_of("nq")["rows"] if r["why"] == "random"}
    run(binary, "label", "--queue", "nq", "--answers", write("n.jsonl", *({"id": i, "label": c} for i, c in given.items())), "--registry", "r")
    drift = ["drift", "--reference", "of-old", "--current", "of-new", "--registry", "r", "--current-data", "new", "--replay-data", "old", "--drift.self_test=0",
             "--drift.permutations=19", "--retrain.replay=10", "--retrain.epochs=[1, 1]", "--drift.tolerance=0", "--retrain.labels=30"]
    run(binary, *drift, "--out", "called")
    check(json.loads(pathlib.Path("called/drift.json").read_text())["manifest"]["emit"], "a case that does not do what it is for")
    with h5py.File("called/selection.h5") as f:
        selected = len(f["id"])
        chosen = {f"{int(i):016x}": (int(s), int(c), int(o)) for i, s, c, o in zip(f["id"], f["set"], f["label"], f["source"]) if s == 1}
    with h5py.File(next(pathlib.Path("new").glob("*.h5"))) as f:
        ids = f["id"][:]
    label = np.array([CLASSES.index(given[h]) if h in measures else -1 for h in hexes(ids)])
    gate = {h for h, g in zip(hexes(ids), evaluate.gate_rows(ids, label, 1)) if g}
    check(len(gate) == 15, f"the gate's half of 30 that measure has {len(gate)}")
    taught = {h: c for h, (s, c, o) in chosen.items() if s == 1 and c >= 0}
    check(taught == {h: CLASSES.index(c) for h, c in given.items() if h not in gate}, f"people's labels teach: {len(taught)} of {len(given)}")
    check(not gate & set(chosen), "an image of the gate is trained on")
    manifest = json.loads(pathlib.Path("called/retrain.json").read_text())
    newest = json.loads(sorted(pathlib.Path("r/log/labels").glob("*.json"))[-1].read_text())["new"]
    check(manifest["predicate"]["data"]["query"]["labels"] == newest, "the manifest's labels")
    # more answers, and one that changes: the manifest is executed as it was written
    more = queue_of("nq")["rows"][0]["id"]
    run(binary, "label", "--queue", "nq", "--answers", write("more.jsonl", {"id": more, "label": CLASSES[(CLASSES.index(given[more]) + 1) % 3]}), "--registry", "r")
    run(binary, "train", "--manifest", "called/retrain.json", *small, "--registry", "r", "--out", "candidate")
    check(json.loads(pathlib.Path("candidate/run.json").read_text())["counts"]["selected"] == selected, "rows of the candidate")
    run(binary, "train", "--manifest", "called/retrain.json", *small, "--registry", "elsewhere", "--out", "refused", wanted=74)


def set_of(binary, name, seed, labels, size=(9, 7), classes=CLASSES, twins=()):
    """a night's images, of which some have labels of their own; twins: images of another night among them. Returns ids, in order"""
    r = np.random.default_rng(seed)
    for i in range(40):
        path = pathlib.Path(f"{name}-photos", f"{i:02}.png")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tiny.png(*size, bytes(int(x) for x in r.integers(0, 256, size[0] * size[1]))))
    for i, other in enumerate(twins):
        shutil.copyfile(f"{other}-photos/{i:02}.png", f"{name}-photos/{i:02}.png")
    write(f"{name}.jsonl", *({"file": f"{name}-photos/{i:02}.png", **({"label": labels[i]} if i in labels else {})} for i in range(40)))
    run(binary, "ingest", f"{name}.jsonl", "--out", name, *([f"--ingest.classes=[{', '.join(classes)}]"] if classes else []))
    with h5py.File(next(pathlib.Path(name).glob("*.h5"))) as f:
        return hexes(f["id"][:])


def earlier(binary):
    """labels of many nights meet in one training: those that the images brought and those that people gave since, each image once, the newest nights first;
    nights whose images are gone, or others by now, are named and do not stop it"""
    shutil.rmtree("r", ignore_errors=True)
    small = ["--model.blocks=[1]", "--model.width=4", "--train.epochs=1", "--train.batch=8", "--train.virtual_ranks=2", "--train.precision=f32", "--threads=1"]
    kinds = {i: CLASSES[i % 3] for i in range(40)}
    ids = {"first": set_of(binary, "first", 10, kinds)}
    run(binary, "train", "--data", "first", *small, "--registry", "r", "--out", "model-first")
    run(binary, "registry", "promote", "production", tiny.digest("model-first/model.json"), "--registry", "r")
    data = json.loads(pathlib.Path("model-first/model.json").read_text())["training_data"]
    check(json.loads(pathlib.Path("r/objects", data[:2], data[2:]).read_text())[0]["rows"] == 40, "the files of the first model")
    ids["before"] = set_of(binary, "before", 20, kinds)
    ids["n1"] = set_of(binary, "n1", 21, {i: CLASSES[i % 3] for i in range(8)})
    ids["gone"] = set_of(binary, "gone", 25, kinds)
    ids["n2"] = set_of(binary, "n2", 22, {}, twins=("n1", "n1", "first"), classes=())
    ids["n3"] = set_of(binary, "n3", 23, {})  # nobody says anything of these
    ids["n4"] = set_of(binary, "n4", 24, {i: CLASSES[1] for i in range(34)}, twins=("n1", "n2", "n3", "n1"))

    def predict(name):
        run(binary, "infer", "--data", name, "--registry", "r", "--out", f"p-{name}", "--infer.precision=f32", "--threads=1", "--infer.batch=8")

    def judge(name, out, *more):
        return run(binary, "drift", "--reference", "p-first", "--registry", "r", "--replay-data", "first", "--drift.self_test=0", "--drift.permutations=19",
                   "--retrain.replay=10", "--retrain.epochs=[1, 1]", "--current", f"p-{name}", "--current-data", name, "--out", out, *more)

    def called(name, out, *more):
        text = judge(name, out, *more)
        d = json.loads(pathlib.Path(out, "drift.json").read_text())
        check(d["manifest"]["emit"], f"a case that does not do what it is for: {d['status']}, {d['manifest']}")
        m = json.loads(pathlib.Path(out, "retrain.json").read_text())["predicate"]["data"]
        with h5py.File(pathlib.Path(out, "selection.h5")) as f:
            rows = list(zip(f["set"][:].tolist(), hexes(f["id"][:]), f["label"][:].tolist(), f["source"][:].tolist(), f["repeat"][:].tolist()))
        return text, m, rows, [pathlib.Path(x["path"]).name for x in m["datasets"]]

    for name in ids:
        predict(name)
    for name in ("n1", "gone", "n2", "n3", "n4"):  # since the change all is taken for an ant, and tonight for a cat
        with h5py.File(next(pathlib.Path(f"p-{name}").glob("*.h5")), "a") as f:
            f["pred"][:] = 2 if name == "n4" else 0
            f["prob"][:] = [0.01, 0.01, 0.98] if name == "n4" else [0.8, 0.1, 0.1]
        evaluate.relist(f"p-{name}")
    for name in ("before", "n1", "gone", "n2", "n3"):
        judge(name, f"d-{name}", "--retrain.labels=1000", "--drift.history=nights")
    status = [json.loads(pathlib.Path(f"d-{name}/drift.json").read_text())["status"] for name in ("before", "n1")]
    check(status[0] in ("none", "statistical") and status[1] in ("material", "harmful"), f"a case that does not do what it is for: {status}")
    run(binary, "label", "--predictions", "p-n2", "--data", "n2", "--out", "n2q", "--label.rows=20", "--registry", "r")
    said = {r["id"]: CLASSES[k % 3] for k, r in enumerate(queue_of("n2q")["rows"])}
    run(binary, "label", "--queue", "n2q", "--answers", write("n2a.jsonl", *({"id": i, "label": c} for i, c in said.items())), "--registry", "r")
    shutil.move("gone", "elsewhere")
    now = ("--drift.history=nights", "--drift.emit=material")
    judge("n4", "d-labels", *now, "--retrain.labels=100000")
    past = [json.loads(p.read_text()) for p in pathlib.Path("nights").glob("*.json")]
    known_labels = {pathlib.Path(x["data"]["path"]).name: x["data"]["labels"] for x in past}
    check(known_labels["gone"] > 0, f"a case that does not do what it is for: {known_labels}")
    d = json.loads(pathlib.Path("d-labels/drift.json").read_text())
    count = sum(known_labels[name] for name in ("n1", "n2", "n3", "n4"))
    check(d["manifest"]["because"].startswith(f"{count} rows have labels since the change"), f"{known_labels}: {d['manifest']['because']}")
    check([pathlib.Path(w["path"]).name for w in d["windows"]] == ["before", "n1", "n2", "n3", "n4"], f"windows whose images are there: {d['windows']}")
    text, m, rows, sets = called("n4", "d-all", *now)
    check(sets == ["first", "n4", "n2", "n1"], f"data sets: {sets}")
    check("cannot teach" in text and "gone" in text, f"a night whose images are gone: {text}")
    wanted, seen = {}, set(ids["n4"]) | {i for s, i, *_ in rows if s == 0}
    for k, (name, labels) in enumerate((("n2", said), ("n1", {i: kinds[k] for k, i in enumerate(ids["n1"][:8])})), 2):
        for i in ids[name]:
            if i in labels and i not in seen:
                wanted[i] = (k, CLASSES.index(labels[i]), 0, 4)
                seen.add(i)
    found = {i: (s, label, source, repeat) for s, i, label, source, repeat in rows if s > 1}
    check(found == wanted and len(wanted) > 20, f"labels of earlier nights: {found}, wanted {wanted}")
    check(m["rows"]["earlier"] == len(wanted) and m["query"]["earlier"] == 2000, f"the manifest's account: {m['rows']}, {m['query']}")
    check(len({i for _, i, *_ in rows}) == len(rows), "an image is there twice")
    *_, few, sets = called("n4", "d-few", *now, "--retrain.earlier=10")
    check([s for s, *_ in few if s > 1] == [2] * 10 and sets == ["first", "n4", "n2"], f"ten rows of earlier nights: {sets}, {[s for s, *_ in few if s > 1]}")
    *_, none, sets = called("n4", "d-none", *now, "--retrain.earlier=0")
    check(sets == ["first", "n4"] and not [s for s, *_ in none if s > 1], "none of earlier nights")
    run(binary, "train", "--manifest", "d-all/retrain.json", *small, "--registry", "r", "--out", "met")
    check(json.loads(pathlib.Path("met/run.json").read_text())["counts"]["selected"] == len(rows), "rows of the candidate")
    # what taught it is in the registry, whatever becomes of the nights; and stays while the model does
    model = json.loads(pathlib.Path("met/model.json").read_text())
    run(binary, "registry", "promote", "kept", tiny.digest("met/model.json"), "--registry", "r")
    run(binary, "registry", "gc", "--registry.gc_hours=0", "--registry", "r")
    shown = json.loads(run(binary, "registry", "show", model["manifest"], "--registry", "r").split("\nnightshift:")[0])
    check(shown["predicate"]["data"]["sha256"] == model["training_data"], "the manifest of a model")
    run(binary, "registry", "show", model["training_data"], "--registry", "r", said="bytes")
    for d in shown["predicate"]["data"]["datasets"]:
        text = pathlib.Path("r/objects", d["digest"][:2], d["digest"][2:]).read_text()
        check(json.loads(text) == json.loads(pathlib.Path(d["path"], "dataset.json").read_text())["shards"], f"the files of {d['path']}")
    # what was selected must still be there, and be the same
    shutil.move("n1", "n1-elsewhere")
    run(binary, "train", "--manifest", "d-all/retrain.json", *small, "--registry", "r", "--out", "refused", wanted=74, said="n1")
    shutil.copytree("n3", "n1")
    run(binary, "train", "--manifest", "d-all/retrain.json", *small, "--registry", "r", "--out", "refused", wanted=77, said="its digest is")
    text, m, rows, sets = called("n4", "d-other", *now)
    check(sets == ["first", "n4", "n2"] and "by now" in text, f"other images by now: {text}")
    # labels alone show harm, and no alarm says since when: all nights teach
    set_of(binary, "slow", 30, {})
    predict("slow")
    with h5py.File(next(pathlib.Path("p-slow").glob("*.h5"))) as f:
        wrong = {i: CLASSES[(int(k) + 1) % 3] for i, k in enumerate(f["pred"][:])}
    shutil.rmtree("slow")
    shutil.rmtree("p-slow")
    set_of(binary, "slow", 30, wrong)
    predict("slow")
    shutil.copytree("p-first", "p-right")  # a reference on which the model is always right
    with h5py.File(next(pathlib.Path("p-right").glob("*.h5")), "a") as f:
        f["label"][:] = f["pred"][:]
    evaluate.relist("p-right")
    judge("before", "c-before", "--drift.history=calm", "--reference=p-right", "--retrain.labels=1000")
    *_, rows, sets = called("slow", "c-slow", "--drift.history=calm", "--reference=p-right")
    check(sets == ["first", "slow", "before"] and {i for s, i, *_ in rows if s == 2} == set(ids["before"]), f"since when is not known: {sets}")


def strata(binary):
    """as many of each camera, though one has nearly all images: each answer counts by the chance with which its image was drawn"""
    r, sizes, rows = np.random.default_rng(3), (300, 80, 20), 400
    group = np.repeat([0, 1, 2], sizes).astype("i4")
    truth = (np.arange(rows) % 3).astype("i4")
    right = np.concatenate([np.arange(n) < share * n for n, share in zip(sizes, (0.95, 0.6, 0.2))])  # .8425 of all
    pred = np.where(right, truth, (truth + 1) % 3).astype("i4")
    prob = np.full((rows, 3), 0.1, "f4")
    prob[np.arange(rows), pred] = 0.8
    id = known.shard("strata.h5", r.integers(0, 256, (rows, 4, 4, 1), dtype="u1"), np.full(rows, -1, "i4"), CLASSES)

    def columns(name, label=None, **more):
        with h5py.File(name, "w") as f:
            f["id"], f["pred"], f["prob"], f["label"] = id, pred, prob, np.full(rows, -1, "i4") if label is None else label
            for key, value in more.items():
                f[key] = value
            f.attrs["classes"], f.attrs["model"], f.attrs["dataset"] = CLASSES, "a" * 64, tiny.digest("strata.h5")
        return name
    columns("strata-p.h5", group=group)
    asks = lambda out, *more, **how: run(binary, "label", "--predictions", "strata-p.h5", "--data", "strata.h5", "--out", out, "--registry", "r-strata", *more, **how)
    lot = np.array([(lambda v: v[1] << 32 | v[0])(draw(1, AUDIT, 2, int(i), 0)) for i in id], dtype="u8")
    one_of = (lambda v: v[1] << 32 | v[0])
    first = min(range(2), key=lambda k: one_of(draw(1, AUDIT, 8, k + 1, 0)))  # who gets the row that is left: by lot
    for wanted, measured, mean, by, of in (
            (60, (20, 20, 20), (20, 20, 20), "group", group), (91, (36 - first, 35 + first, 20), (35.5, 35.5, 20), "group", group),
            (60, (20, 20, 20), (20, 20, 20), "class", pred), (60, (60,), (60,), "none", group * 0)):
        asks(f"s-{by}-{wanted}", f"--label.rows={wanted}", "--label.measure=1", f"--label.strata={by}")
        q = queue_of(f"s-{by}-{wanted}")
        drawn = {row["row"]: row["chance"] for row in q["rows"]}
        for k, n in enumerate(measured):
            all_of = np.flatnonzero(of == k)
            least = all_of[np.argsort(lot[all_of])][:n]
            check({i for i in drawn if of[i] == k} == set(least.tolist()), f"{by} {k}: {sum(of[i] == k for i in drawn)} were drawn, or others than the least of {n}")
            check(all(abs(drawn[int(i)] - mean[k] / len(all_of)) < 1e-8 for i in least), f"{by} {k}: chances")
        check([row["row"] for row in q["rows"]] == sorted(drawn, key=lambda i: lot[i]) and abs(q["chance"] - wanted / rows) < 1e-8, "the order in which they are shown")
    asks("s-half", "--label.rows=40", "--label.strata=group")
    half = [row for row in queue_of("s-half")["rows"] if row["why"] == "random"]
    check(sorted(sum(group[row["row"]] == k for row in half) for k in range(3)) == [6, 7, 7], "twenty of three cameras")
    # fewer rows than cameras: none of them is left out for ever
    columns("many-p.h5", group=(np.arange(rows) % 40).astype("i4"))
    seen = set()
    for seed in range(1, 9):
        run(binary, "label", "--predictions", "many-p.h5", "--data", "strata.h5", "--out", "s-many", "--force", "--registry", "r-strata", "--label.rows=20", "--label.measure=1",
            "--label.strata=group", f"--seed={seed}")
        drawn = [row["row"] % 40 for row in queue_of("s-many")["rows"]]
        check(len(set(drawn)) == 20 and all(abs(row["chance"] - 0.5 / 10) < 1e-8 for row in queue_of("s-many")["rows"]), "twenty of forty cameras")
        seen |= set(drawn)
    check(len(seen) >= 36, f"cameras that eight queues asked about: {len(seen)} of 40")
    asks("refused", "--label.strata=camera", wanted=78, said="expected none, group or class")
    columns("no-group.h5")
    run(binary, "label", "--predictions", "no-group.h5", "--data", "strata.h5", "--out", "refused", "--label.strata=group", wanted=65, said="have no group")
    # what they answer
    q = queue_of("s-group-60")["rows"]
    run(binary, "label", "--queue", "s-group-60", "--answers", write("strata.jsonl", *({"id": row["id"], "label": CLASSES[truth[row["row"]]], "by": "anna"} for row in q)),
        "--registry", "r-strata")
    at = np.array([row["row"] for row in q])
    w, hit = np.array([60 / 400 / row["chance"] for row in q]), right[at].astype(float)
    accuracy, worth = float((w * hit).sum() / w.sum()), float(w.sum() ** 2 / (w ** 2).sum())
    check(abs(accuracy - 0.8425) < 0.07 and hit.mean() < 0.7 and worth < 40, f"a case that does not do what it is for: {accuracy}, {hit.mean()}, {worth}")

    def says(e, low_high=True):
        check(abs(e["accuracy"] - accuracy) < 1e-6, f"accuracy is {e['accuracy']}, wanted {accuracy}")
        low, high = evaluate.wilson(round(accuracy * worth), round(worth))
        check(not low_high or abs(e["low"] - low) < 1e-6 and abs(e["high"] - high) < 1e-6, f"interval {e['low']} to {e['high']}, wanted {low} to {high}")
    run(binary, "evaluate", "--predictions", "strata-p.h5", "--registry", "r-strata", "--out", "s-e")
    e = json.loads(pathlib.Path("s-e/evaluation.json").read_text())
    says(e)
    check((e["rows"], e["correct"]) == (60, int(hit.sum())), f"rows {e['rows']}, {e['correct']} of them right")
    run(binary, "drift", "--reference", "strata-p.h5", "--current", "strata-p.h5", "--out", "s-d", "--drift.self_test=0", "--drift.permutations=19", "--drift.slices=false",
        "--registry", "r-strata", "--drift.history=s-past")
    d = json.loads(pathlib.Path("s-d/drift.json").read_text())
    says({"accuracy": d["performance"]["measured"], "low": d["performance"]["low"], "high": d["performance"]["high"]})
    track = d["accuracy"]["all"]
    wanted = 0.8 + float((w * (hit - 0.8)).sum() / w.sum())
    check(abs(track["accuracy"] - wanted) < 1e-6 and abs(track["labels"] - worth) < 1e-4, f"over nights {track['accuracy']} of {track['labels']}, wanted {wanted} of {worth}")
    # who says it otherwise: a column of their own
    label, weight = np.full(rows, -1, "i4"), np.ones(rows, "f4")
    label[at], weight[at] = truth[at], 7 * w  # what they have in common says nothing
    columns("own.h5", label=label, weight=weight)
    run(binary, "evaluate", "--predictions", "own.h5", "--registry", "none", "--out", "s-own")
    says(json.loads(pathlib.Path("s-own/evaluation.json").read_text()))
    for bad in (0, -1, np.nan, np.inf):
        weight[3] = bad
        columns("bad.h5", label=label, weight=weight)
        run(binary, "evaluate", "--predictions", "bad.h5", "--registry", "none", "--out", "refused", wanted=65, said="weight[3]")


def refusals(binary):
    run(binary, "label", "--out", "x", wanted=64)
    run(binary, "label", "more", wanted=64)
    run(binary, "label", "--answers", "a.jsonl", wanted=64, said="--queue is required")
    run(binary, "label", "--predictions", "predictions", "--data", "data", wanted=64, said="--out is required")
    run(binary, "label", "--queue", "nowhere", "--answers", "a.jsonl", wanted=74)
    with h5py.File("odd.h5", "w") as f:
        f["id"], f["pred"] = np.arange(90, dtype="u8"), np.zeros(90, "i4")
        f.attrs["classes"] = CLASSES
    run(binary, "label", "--predictions", "odd.h5", "--data", "data", "--out", "refused", wanted=65, said="row 0 is image")


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((asked, page, answers, back_and_forth, at_once, meet, teach, earlier, strata, refusals), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
