"""The page over all nights of a site, by known answers: for site.sh.

usage: site.py NIGHTSHIFT, in an empty folder
"""
import html
import json
import math
import pathlib
import re
import sys
import urllib.parse

import tiny
from tiny import check

FAMILIES = ["images", "spread", "embeddings", "outputs", "groups", "missing"]
LEVEL = 1e-4


def day(k):
    return f"20{20 + k // 360:02}-{k // 30 % 12 + 1:02}-{k % 30 + 1:02}"


def night(root, k, folder=None, status="none", promoted=False, production="a" * 64, release=None, measured=None, next=("nothing", "Nothing."), least=0.5, name="night",
          unfinished=()):
    path = pathlib.Path(root, folder or day(k))
    (path / name).mkdir(parents=True, exist_ok=True)
    (path / "night.html").write_text("<p>a night</p>", encoding="utf-8")
    (path / "summary.json").write_text(json.dumps({
        "schema": "nightshift.summary/1", "promoted": promoted, "nights": [name], f"{name}_status": status, "unfinished": list(unfinished),
        "next": {"do": next[0], "say": next[1]}, "date": day(k), "site": None, "production": production, "release": release, "seconds": 100.0 + k, "energy_joules": None}),
        encoding="utf-8")
    drift = {"schema": "nightshift.drift/1", "status": status, "decided_by": "images" if status == "material" else "",
             "accuracy": {} if measured is None else {"all": {"accuracy": measured, "noise": 0.0001}},
             "performance": {"estimated": 0.9, "baseline": 0.92, "audited": 0 if measured is None else 100}, "current": {"rows": 5000},
             "alarm_budget": {"p_needed": LEVEL},
             "nights": {"families": [{"family": f, "p": {"tonight": least if f == "images" else 1.0, "step": None}} for f in FAMILIES]}}
    (path / name / "drift.json").write_text(json.dumps(drift), encoding="utf-8")


def page_of(binary, root):
    done = tiny.run(binary, ["report", "--site", root], ".")
    check(done.code == 0, f"report --site {root} exited {done.code}: {done.text}")
    return pathlib.Path(root, "site.html").read_text(encoding="utf-8")


def series(page, title):
    """{name: [(href, label, value, y)]} of a plot"""
    svg = next((s for s in re.findall(r"<svg.*?</svg>", page, re.S) if f'aria-label="{title}' in s), None)
    check(svg is not None, f"no plot '{title}'")
    out = {}
    for href, y, said in re.findall(r'<a href="([^"]*)"><circle r="[\d.]+" cx="[\d.]+" cy="([\d.]+)"[^>]*><title>([^<]*)</title>', svg):
        label, rest = html.unescape(said).split(": ", 1)
        name, value = rest.rsplit(" ", 1)
        out.setdefault(name, []).append((html.unescape(href), label, float(value), float(y)))
    return out, svg


def few(binary):
    root = "few"
    evil = "n & <b>'50%'?#x\""
    night(root, 2, status="material", next=("label", "The data has moved. Label <some>."), least=1e-6)
    night(root, 0, measured=0.91)
    night(root, 1, folder=evil, measured=0.85)
    night(root, 3, status="harmful", measured=0.5, next=("nothing", "A better model is in production."), promoted=True, production="b" * 64)
    night(root, 4, production="b" * 64, release="c" * 64, least=None, unfinished=[{"step": "x"}], next=("look", "1 step of this night did not come to its end."))
    pathlib.Path(root, "no-night").mkdir()
    pathlib.Path(root, "file.txt").write_text("nothing", encoding="utf-8")
    page = page_of(binary, root)
    check("<b>" not in page.replace("<body>", "") and "&lt;some&gt;" in page, "names are text")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    check("5 nights from 2020-01-01 to 2020-01-05: 2 alarms, 1 promotions, 1 that did not come to their end" in text, "the headline's counts")
    check("Production is model bbbbbbbbbbbb." in text, "production of the last night")
    found, svg = series(page, "Accuracy")
    check([(label, value) for _, label, value, _ in found["measured"]] == [("2020-01-01", 0.91), ("2020-01-02", 0.85), ("2020-01-04", 0.5)],
          f"measured: {found['measured']}")
    check(len(found["estimated"]) == 5 and len(found["baseline"]) == 5, "estimates of every night")
    for href, label, _, _ in found["estimated"]:
        check(pathlib.Path(root, urllib.parse.unquote(href)).exists(), f"{label} leads to {href}")
    check(urllib.parse.unquote(found["estimated"][1][0]) == f"{evil}/night.html", "a name of odd characters")
    # 0.5 - 1.96 sqrt(.0001) is the bottom, 0.92 or 0.91 + 0.0196 the top
    low, high = 0.5 - 1.959964e-2, 0.91 + 1.959964e-2
    for _, label, value, y in found["measured"]:
        check(abs(y - (170 - 146 * (value - low) / (high - low))) < 0.06, f"{label}: {value} is drawn at {y}")
    check(svg.count("<line ") == 3, "intervals of what was measured")
    near, _ = series(page, "How near")
    images = [round(value, 3) for _, _, value, _ in near["images"]]
    check(images == [round(min(3, math.log(p) / math.log(LEVEL)), 3) for p in (0.5, 0.5, 1e-6, 0.5)], f"how near: {images}")
    events = re.search(r"<h2>Alarms.*?</table>", page, re.S).group(0)
    rows = re.findall(r"<tr><td><a href=\"([^\"]*)\">([^<]*)</a>", events)
    check([r[1] for r in rows] == ["2020-01-05", "2020-01-04", "2020-01-03"], f"events: {rows}")
    released = re.search(r"<h2>Releases.*?</table>", page, re.S).group(0)
    check(re.findall(r"<tr><td>([^<]*)</td><td><code>(\w)\w*</code></td><td><code>(\w|-)\w*</code></td><td>(\d+)", released) ==
          [("2020-01-01", "a", "-", "3"), ("2020-01-04", "b", "-", "1"), ("2020-01-05", "b", "c", "1")],
          f"releases: {released}")
    check(not re.search(r"<script|src=\"http|href=\"http|@import|url\(", page), "the page asks for something from elsewhere")


def damaged(binary):
    night("bad", 0)
    night("bad", 1)
    pathlib.Path("bad", day(1), "night/drift.json").write_text("{", encoding="utf-8")
    night("bad", 2)
    pathlib.Path("bad", day(2), "summary.json").write_text("{", encoding="utf-8")
    page = page_of(binary, "bad")
    check("2 records of nights cannot be read" in page and day(1) in page, "what cannot be read is named")
    check("unreadable" in page, "the night whose verdict cannot be read")
    for args in (["report"], ["report", "--site", "bad", "--night", "bad"], ["report", "--site", "bad", "more"]):
        check(tiny.run(binary, args, ".").code == 64, f"{args}")
    pathlib.Path("empty").mkdir()
    done = tiny.run(binary, ["report", "--site", "empty"], ".")
    check(done.code == 65 and "holds no folder of a night" in done.text, f"a folder without nights: {done.text}")
    check(tiny.run(binary, ["report", "--site", "nowhere"], ".").code == 74, "no folder")


def thousand(binary):
    for k in range(1000):
        night("years", k, status="material" if k % 100 == 7 else "none", measured=0.9 + 0.0001 * (k % 50) if k % 3 == 0 else None)
    page = page_of(binary, "years")
    found, _ = series(page, "Accuracy")
    check(len(found["estimated"]) == 1000 and len(found["measured"]) == 334, "a point a night")
    labels = [label for _, label, _, _ in found["estimated"]]
    check(labels == sorted(labels), "in the order of dates")
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    check("1000 nights" in text and "10 alarms" in text, "counts of a thousand nights")
    check(len(page) < 3 << 20, f"the page has {len(page)} bytes")


if __name__ == "__main__":
    binary, *names = sys.argv[1:]
    for part in tiny.chosen((few, damaged, thousand), names):
        part(binary)
    print(f"{tiny.checks} checks passed")
