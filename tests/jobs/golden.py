"""What the old files of tests/golden hold, in numbers written down when they were made; and what the program makes of them today."""
import hashlib
import json
import pathlib
import struct
import sys
import zlib

import h5py
import numpy as np

CLOSE = 2e-5 # what single precision leaves between two processors of a network this small
TRAINED = 2e-3 # the same after eight more steps of training


def sha(x):
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()[:16]


def read(path):
    """the columns of a data set, of predictions, or of one file, end to end; and their root attributes"""
    if path.endswith(".h5"):
        files = [path]
    else:
        index = json.load(open(f"{path}/{'predictions' if 'prediction' in path else 'dataset'}.json"))
        files = [f"{path}/{f['file']}" for f in index.get("shards", index.get("files"))]
    out = {}
    for name in files:
        with h5py.File(name, "r") as f:
            attrs = dict(f.attrs)
            for k in f:
                if k != "checksum":
                    out.setdefault(k, []).append(f[k][:])
    return {k: np.concatenate(v) for k, v in out.items()}, attrs


def text(x):
    return x.decode() if isinstance(x, bytes) else x


# SHA-256 of what must come out of a shard: the columns that every job reads
SHARDS = {"old-1": {"image": "b152b4fb4e54a4cf", "label": "bb19dd8147044bd7", "id": "95e8c80b9ec2f750",
                   "time": "2ea9ab9198d16380", "group": "17b0761f87b081d5"},
          "data": {"image": "3819e7ae29f855f6", "label": "204e2a95619b2785", "id": "ba12663218829281",
                   "time": "ab6e7e9fa312f205", "group": "b393978842a0fa3d"},
          "dark": {"image": "23784a550c8b212a", "label": "204e2a95619b2785", "id": "11425101bbf6bd08",
                   "time": "ab6e7e9fa312f205", "group": "b393978842a0fa3d"}}
CLASSES = {"old-1": ["0", "1", "2"], "data": ["cat", "dog"], "dark": ["cat", "dog"]}


def check_shard(name, copy):
    """`copy` is what `augment` made of it with no operation that does anything: the program has read every column, and written it again"""
    x, attrs = read(copy)
    got = {k: sha(x[k]) for k in SHARDS[name]}
    assert got == SHARDS[name], got
    assert [text(c) for c in attrs["classes"]] == CLASSES[name]


def check_encoded(predictions):
    """20 PNG files of 8 x 8, whose pixels are those that the identities are of, by the production of the registry"""
    x, _ = read(predictions)
    assert sha(x["id"]) == "828afc144c6b9c8d" and sha(x["label"]) == "e1c3f510b9538862" and sha(x["time"]) == "65403469b1bc7964"
    assert x["pred"].tolist() == x["label"].tolist() == [0] * 10 + [1] * 10
    data, _ = read("kept")
    off, raw = data["image_offset"], data["image_bytes"].tobytes()
    for i in range(20): # tiny.png's: one IDAT chunk behind IHDR, no filter
        png = raw[off[i]:off[i + 1]]
        rows = zlib.decompress(png[41:41 + struct.unpack(">I", png[33:37])[0]])
        pixels = np.frombuffer(rows, "u1").reshape(8, 9)[:, 1:]
        identity = hashlib.sha256(pixels.tobytes() + struct.pack("<III", 8, 8, 1)).digest()[:8]
        assert int.from_bytes(identity, "big") == x["id"][i]
        assert abs(x["stats"][i, 0] - pixels.mean() / 255) < 1e-6 # brightness


def wilson(hits, n, z=1.959963984540054):
    p, d = hits / n, 1 + z * z / n
    middle, half = p + z * z / 2 / n, z * (p * (1 - p) / n + z * z / 4 / n / n) ** 0.5
    return (middle - half) / d, (middle + half) / d


def check_evaluation(path, hits, rows):
    e = json.load(open(f"{path}/evaluation.json"))
    low, high = wilson(hits, rows)
    assert e["rows"] == rows and abs(e["accuracy"] - hits / rows) < 1e-9, e
    assert abs(e["low"] - low) < 1e-6 and abs(e["high"] - high) < 1e-6, (e, low, high)


def check_model(predictions, golden):
    """the old model over the old data gives the old predictions"""
    (x, a), (y, b) = read(predictions), read(golden)
    for k in ("id", "label", "pred", "time", "group"):
        assert (x[k] == y[k]).all(), k
    for k in ("prob", "embedding", "stats"):
        assert np.abs(x[k] - y[k]).max() < CLOSE * max(1, np.abs(y[k]).max()), (k, np.abs(x[k] - y[k]).max())
    for k in ("model", "weights", "dataset", "temperature"):
        assert a[k] == b[k], k
    assert text(a["model"]) == PRODUCTION


PRODUCTION = "64a19583080c0a78d1cc99cce948e432a02dd94d91b19002c0f17f44f2736b77"
SECOND = "4cf760fa9cc939bc6d3eb2ece2fda6860a18159106902879b5bd6ac5b58c728d"
NOBODYS = ["5aeef5b74b1e800808c32d9c318b94f056862a7654a12ed5c3e34e6e3ec1eb02",
           "7dd03063953903a800ebb892f58b9ed5735e8f40205e6babc123ac45f347dbc3",
           "ec585dd404efd5e2a2cca1f398e9998895842d1b9ebc048a4c369bd771d0781e"] # two are the third model's, one is the second's weights


def check_registry(path, moves):
    """its history goes on where it was: an entry on top of the three old ones, from what they ended with"""
    old = [("", PRODUCTION, "the first"), (PRODUCTION, SECOND, "a second try"), (SECOND, PRODUCTION, "the first was better")]
    entries = [json.load(open(p)) for p in sorted(pathlib.Path(path, "log/production").glob("*.json"))]
    got = [(e["old"], e["new"], e["why"]) for e in entries]
    assert got == old + [(PRODUCTION, SECOND, "once more")][:moves], got
    assert pathlib.Path(path, "refs/production").read_text().strip() == (SECOND if moves else PRODUCTION)


def check_collected(path):
    """gc takes the model that no log names, and nothing else"""
    left = {p.parent.name + p.name for p in pathlib.Path(path, "objects").glob("*/*")}
    weights = {d: json.load(open(pathlib.Path(path, "objects", d[:2], d[2:])))["weights"] for d in (PRODUCTION, SECOND)}
    assert left == {*weights, *weights.values()} and weights[PRODUCTION].startswith("9078cecff737"), left
    assert len(left & set(NOBODYS)) == 1


def safetensors(path):
    data = open(path, "rb").read()
    n = int.from_bytes(data[:8], "little")
    head = json.loads(data[8:8 + n])
    head.pop("__metadata__", None)
    x = np.frombuffer(data[8 + n:], "f4")
    return {k: x[v["data_offsets"][0] // 4:v["data_offsets"][1] // 4].reshape(v["shape"]) for k, v in head.items()}


def check_continued(path, golden):
    """
    Taken up after step 12 of 20: the first two epochs are those of the checkpoint to the digit, the rest and the weights what the training came
    to that was not stopped. It went on with the momentum, the average and the sums within the epoch, or the numbers would be others.
    """
    lines, want = ([json.loads(line) for line in open(p)] for p in (f"{path}/metrics.jsonl", f"{golden}/final.jsonl"))
    assert [line["step"] for line in lines] == [5, 10, 15, 20] and lines[:2] == want[:2], lines
    for a, b in zip(lines[2:], want[2:]):
        assert a.keys() == b.keys() and all(abs(a[k] - b[k]) < TRAINED for k in a), (a, b)
    x, y = safetensors(f"{path}/model.safetensors"), safetensors(f"{golden}/final.safetensors")
    start = safetensors(f"{golden}/stopped.partial/checkpoint/00000012.safetensors")
    assert set(start) == {"weights", "momentum", "average"} and x.keys() == y.keys()
    worst = max(np.abs(x[k] - y[k]).max() for k in x)
    assert worst < TRAINED, worst
    assert sum(v.size for v in y.values()) == start["weights"].size
    run = json.load(open(f"{path}/run.json"))
    assert json.load(open(f"{path}/model.json"))["training"] == {"what": "train", "steps": 20, "rows": 40} and run["verb"] == "train"


def check_history(drift, windows, alarms):
    """the number of the window, the alarms before it, the level of a night (docs/judgement.md); no night is learnt from lines without effects"""
    d = json.load(open(f"{drift}/drift.json"))
    budget, families = d["alarm_budget"], len(d["nights"]["families"])
    assert (budget["windows"], budget["alarms_before"]) == (windows, alarms), budget
    assert families and abs(budget["p_needed"] / (1 / 365 / (4 * families)) - 1) < 1e-6, budget
    assert d["nights"]["nights_of_this_release"] == (2 if windows == 3 else 0), d["nights"]


def check_again(old, new):
    """A window that was judged before is judged once: its record has the old time and number, and takes the place of the old one."""
    a, b = ({(w["window"], w["time"]): w for w in map(json.loads, (p.read_text() for p in pathlib.Path(f).glob("*.json")))} for f in (old, new))
    assert set(a) == set(b) and len(list(pathlib.Path(new).glob("*.json"))) == len(a) == 2, (set(a), set(b))
    was, now = a[2, 1700086400], b[2, 1700086400]
    assert was["schema"] == "nightshift.history/1" and now["schema"] == "nightshift.history/2"
    for k in ("reference", "current", "status", "emitted", "alarm"):
        assert was[k] == now[k], (k, was[k], now[k])
    assert (now["status"], now["emitted"]) == ("harmful", True)
    assert a[1, 1700000000] == b[1, 1700000000], "another window's line was touched"


def check_retrained(path, manifest):
    run, model = json.load(open(f"{path}/run.json")), json.load(open(f"{path}/model.json"))
    m = json.load(open(manifest))["predicate"]
    assert m["data"]["rows"] == {"replayed": 20, "audited": 20, "to_label": 0, "excluded": 20}, m["data"]["rows"]
    assert run["counts"]["selected"] == 40 and run["counts"]["labelled_by_model"] == 0, run["counts"]
    assert model["parents"] == [PRODUCTION] and model["training_data"] == m["data"]["sha256"]
    assert model["manifest"] == hashlib.sha256(open(manifest, "rb").read()).hexdigest()
    rows = 20 + 20 * m["data"]["query"]["audited_repeat"]
    assert model["training"] == {"what": "round 2", "steps": rows // 8, "rows": rows}, model["training"]


DONE = ["prepare/data", "prepare/test", "prepare/model", "prepare/test-predictions", "prepare/test-evaluation", "quiet/predictions",
        "quiet/reference"]


def check_plan(path):
    """the steps that its records say are done, and no others"""
    steps = [line.rstrip("\n").split("\t") for line in open(path)]
    assert [s[0] for s in steps if s[3] == "done"] == DONE and len(steps) == 20 and steps[-1][0] == "report", steps


def check_night(path, old):
    """What was done is not done again, and its record says when it was first begun; the rest was done, and the summary is of both."""
    s = json.load(open(f"{path}/summary.json"))
    assert s["unfinished"] == [] and s["quiet_status"] == "none" and s["promoted"] is False and s["nights"] == ["quiet"], s
    low, high = wilson(20, 20)
    assert s["production_accuracy"] == 1 and abs(s["production_accuracy_low"] - low) < 1e-6, s
    for result in ("prepare/data", "prepare/test", "prepare/model", "quiet/predictions"):
        for p in pathlib.Path(old, result).rglob("*"):
            if p.is_file():
                assert (pathlib.Path(path) / p.relative_to(old)).read_bytes() == p.read_bytes(), p
    for name in DONE:
        a, b = (json.load(open(f"{p}/steps/{name.replace('/', '.')}.json")) for p in (old, path))
        assert (a["starts"], b["starts"], b["state"]) == (1, 2, "done"), (a, b)
        assert a["first_start"] == b["first_start"] and a["counts"] == b["counts"], (a, b)
    for name, state in {"quiet/drift": "done", "quiet/gate": "skipped", "quiet/candidate": "skipped", "report": "done"}.items():
        assert json.load(open(f"{path}/steps/{name.replace('/', '.')}.json"))["state"] == state
    drift = json.load(open(f"{path}/quiet/drift.json"))
    assert drift["reference"]["rows"] == drift["current"]["rows"] == 10 and drift["status"] == "none"


if __name__ == "__main__": # NAME ARGUMENT... + NAME ARGUMENT... +
    for call in " ".join(sys.argv[1:]).split(" + "):
        name, *args = call.split()
        try:
            globals()[name](*[int(a) if a.isdigit() else a for a in args])
        except AssertionError:
            print(f"in {call}:")
            raise
