#!/usr/bin/env python3
"""The table of a comparison: table.py WORK OUT ROUNDS SECONDS. OUT/measured.jsonl has a line a measurement."""
import datetime
import json
import pathlib
import statistics
import sys

work, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
lines = [json.loads(l) for l in (out / "measured.jsonl").read_text().splitlines()]

F32, BEST = lambda name: name.endswith("f32"), lambda name: True
# what, piece, which of ours, which peers, wanted ratio (None: for information)
ROWS = [
    ("training demo network", "train-demo", BEST, "", 1.2),
    ("training ResNet-18 (CIFAR)", "train-resnet18", BEST, "", 1.2),
    ("training demo network, f32 alone", "train-demo", F32, "PyTorch f32", None),
    ("training ResNet-18 (CIFAR), f32 alone", "train-resnet18", F32, "PyTorch f32", None),
    ("inference demo network, f32", "infer-demo", F32, "ONNX Runtime f32", 1.0),
    ("inference ResNet-18 (CIFAR), f32", "infer-resnet18", F32, "ONNX Runtime f32", 1.0),
    ("inference demo network, any precision", "infer-demo", BEST, "", None),
    ("inference ResNet-18 (CIFAR), any precision", "infer-resnet18", BEST, "", None),
    ("augment 32 px: affine, colour", "augment-32", BEST, "DALI", 20),
    ("augment 256 px: affine, colour", "augment-256", BEST, "DALI", 10),
] + [(f"augment {side} px: affine, colour", f"augment-{side}", BEST, peer, None)
     for side in (32, 256) for peer in ("kornia", "albumentations", "torchvision v2")]
START = 0.3  # seconds to the first step


def of(piece, peer):
    """{(peer, variant): rates} of a piece; '' stands for all peers"""
    found = {}
    for l in lines:
        fits = l["peer"] != "ours" if peer == "" else l["peer"] == peer
        if l["what"] == piece and fits and l["rate"] is not None:
            found.setdefault((l["peer"], l["variant"]), []).append(l["rate"])
    return found


def why(piece, peer):
    said = [l["why"] for l in lines if l["what"] == piece and peer in ("", l["peer"]) and l.get("why")]
    return "not measured: " + (said[0] if said else "no answer, see peers.log")


def top(found, best=max):
    name = best(found, key=lambda k: best(found[k]))
    return name, best(found[name]), statistics.median(found[name])


table = []
for what, piece, ours_fits, peer, wanted in ROWS:
    if not any(l["what"] == piece for l in lines):
        continue  # not asked for
    mine = {k: v for k, v in of(piece, "ours").items() if ours_fits(k[1])}
    theirs = of(piece, peer)
    row = {"what": what, "unit": "images/s", "wanted": wanted}
    if mine:
        name, row["ours"], row["ours_median"] = top(mine)
        row["ours_variant"] = name[1]
    if theirs:
        name, row["peer"], row["peer_median"] = top(theirs)
        row["peer_name"] = ", ".join(name)
    else:
        row["peer_name"], row["verdict"] = peer or "any", why(piece, peer)
    if mine and theirs:
        row["ratio"], row["ratio_median"] = row["ours"] / row["peer"], row["ours_median"] / row["peer_median"]
        row["verdict"] = "" if wanted is None else "met" if row["ratio"] >= wanted else "MISSED"
    table.append(row)

starts = of("start", "ours")
if starts:
    _, best, median = top(starts, min)
    peers = {k: v for k, v in of("start", "").items()} or {("PyTorch", "import torch"): []}
    for k, v in sorted(peers.items()):
        row = {"what": "exec to the first training step", "unit": "s", "ours": best, "ours_median": median, "peer_name": k[0],
               "ours_variant": "demo network", "wanted": None}
        if v:
            row.update(peer=min(v), peer_median=statistics.median(v), ratio=min(v) / best, ratio_median=statistics.median(v) / median)
        if "import" in k[0] or not v:
            row["wanted"], row["verdict"] = f"< {START} s", "met" if best < START else "MISSED"
        table.append(row)


def number(x):
    return "" if x is None else f"{x:.3f}" if x < 10 else f"{x:.1f}" if x < 1000 else f"{x:,.0f}"


def pair(row, side):
    return f"{number(row[side])} ({number(row[side + '_median'])})" if side in row else ""


def cells(row):
    wanted = row["wanted"]
    wanted = wanted if isinstance(wanted, str) else f">= {wanted}" if wanted else ""
    ratio = f"{row['ratio']:.2f} ({row['ratio_median']:.2f})" if "ratio" in row else ""
    return [row["what"], pair(row, "ours"), row.get("ours_variant", "").rpartition(", ")[2] if "augment" not in row["what"] else "",
            pair(row, "peer"), row["peer_name"], ratio, wanted, row.get("verdict", "")]


def cpu():
    for l in open("/proc/cpuinfo"):
        if l.startswith("model name"):
            return l.split(":", 1)[1].strip()
    return "unknown"


head = ["what", "ours", "in", "best peer", "which", "ratio", "wanted", "verdict"]
grid = [head] + [cells(r) for r in table]
wide = [max(len(r[i]) for r in grid) for i in range(len(head))]
facts = {"schema": "nightshift.peers/1", "date": datetime.date.today().isoformat(), "cpu": cpu(), "cores": 1,
         "rounds": int(sys.argv[3]), "seconds": float(sys.argv[4]), "versions": json.loads((work / "versions.json").read_text()),
         "ours": (work / "ours.version").read_text().strip(), "rows": table, "measured": lines}
out.mkdir(parents=True, exist_ok=True)
(out / "peers.json").write_text(json.dumps(facts, indent=1) + "\n")
named = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
text = f"{facts['cpu']}, {facts['cores']} core, {facts['date']}; best of {facts['rounds']} rounds (median), taken in turns.\n"
text += f"{facts['ours']}; {named}.\n\n"
for i, r in enumerate(grid):
    text += "| " + " | ".join(c.ljust(w) for c, w in zip(r, wide)) + " |\n"
    if i == 0:
        text += "|" + "|".join("-" * (w + 2) for w in wide) + "|\n"
(out / "peers.md").write_text(text)
print(text, end="")
if not any("ratio" in r for r in table):
    sys.exit(77)
sys.exit(any(r.get("verdict") == "MISSED" for r in table))
