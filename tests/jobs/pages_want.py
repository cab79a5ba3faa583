"""What pages.py wants of a page: texts with their figures, tables, plots; and how they are compared with what page.py has read.

JSON has nine digits of a number, so a figure may be that number rounded from a little above or below.
"""
import json
import math
import re

from page import figures

NEAR = 1e-8


def load(path):
    return json.loads(path.read_text()) if path.exists() else None


def num(form, x, unit="", none="-"):
    """the ways in which a page may show a number"""
    if x is None:
        return {none}
    return {re.sub(r"\s", "", form % v + unit) for v in ((x,) if isinstance(x, int) else (x, x * (1 + NEAR), x * (1 - NEAR)))}


def percent(x, form="%.1f", unit="%"):
    return num(form, None if x is None else 100 * x, unit)


def p_value(p):
    return {"<1e-300"} if p is not None and p < 1e-300 else num("%.3g", p)


# --- what a page must hold ---

class Text:
    """figures in order; names: strings that stand in it as they are, whose digits are no figures"""
    kind = "text"

    def __init__(self, label, *figs, names=()):
        self.label, self.figs, self.names = label, figs, names

    def shows(self):
        return self.figs or any(figures(n) for n in self.names)

    def check(self, text):
        text = text.replace("\xa0", " ")
        for name in sorted(self.names, key=len, reverse=True):
            if name not in text:
                return f"has no {name!r}: {text!r}"
            text = text.replace(name, " ", 1)
        found = figures(text)
        if len(found) != len(self.figs):
            return f"has the figures {found}, and should have {list(self.figs)}"
        return next((f"figure {i + 1} is {f}, wanted {w}" for i, (f, w) in enumerate(zip(found, self.figs)) if f not in w), None)


class Table:
    """heads: {column: a word of its heading}; a cell is a string, a set of figures one of which it is, a list of such sets for several in
    one cell, or None: words without a figure"""
    kind = "table"

    def __init__(self, label, heads, rows, pick=None):
        self.label, self.heads, self.rows, self.pick = label, heads, rows, pick

    def check(self, table):
        odd = [c for c, word in self.heads.items() if word not in table[0][c].lower().split()]
        if odd:
            return f"column {odd[0]} is headed {table[0][odd[0]]!r}, not {self.heads[odd[0]]!r}"
        rows = self.pick(table[1:]) if self.pick else self.rows
        if len(table) - 1 != len(rows):
            return f"has {len(table) - 1} rows, wanted {len(rows)}"
        for n, (got, want) in enumerate(zip(table[1:], rows)):
            if len(got) != len(want):
                return f"row {n + 1} has {len(got)} cells, wanted {len(want)}"
            for c, (g, w) in enumerate(zip(got, want)):
                why = cell(g, w)
                if why:
                    return f"row {n + 1} ({got[0]!r}), {table[0][c]!r}: {why}"
        return None


def cell(got, want):
    if callable(want):
        return want(got)
    if not isinstance(got, str):
        return "a plot that is not wanted"
    if want is None:
        return f"{got!r} has figures" if figures(got) else None
    if isinstance(want, str):
        return None if got == want else f"{got!r}, wanted {want!r}"
    if isinstance(want, set):
        return None if re.sub(r"\s", "", got) in want else f"{got!r}, wanted {want}"
    found = figures(got)
    return None if len(found) == len(want) and all(f in w for f, w in zip(found, want)) else f"{got!r}, wanted {want}"


class Plot:
    """title: the label of the whole, None where it is free; texts: figures or names that must be its labels, in order; shapes: {tag:
    [{attribute: number}]} of the shapes that have all of those attributes"""
    kind = "svg"

    def __init__(self, label, title, texts, shapes):
        self.label, self.title, self.texts, self.shapes = label, title, texts, shapes

    def check(self, svg):
        if self.title and self.title.check(svg.label):
            return f"title {svg.label!r}: {self.title.check(svg.label)}"
        texts = [t for tag, t in svg.texts if tag == "text"]
        if self.title and texts.pop(0) != svg.label:
            return "is titled otherwise than it is labelled"
        texts = [t for t in texts if t in self.texts or figures(t)]
        if len(texts) != len(self.texts):
            return f"is labelled {texts}, wanted {self.texts}"
        for got, want in zip(texts, self.texts):
            why = cell(got, want)
            if why:
                return why
        for tag, want in self.shapes.items():
            got = [a for a in svg.of(tag) if want and set(want[0]) <= set(a)]
            if len(got) != len(want):
                return f"has {len(got)} {tag}, wanted {len(want)}"
            for i, (g, w) in enumerate(zip(got, want)):
                odd = [k for k in w if not alike(g[k], w[k])]
                if odd:
                    return f"{tag} {i + 1}: {odd[0]} is {g[odd[0]]}, wanted {w[odd[0]]}"
        return None


def alike(got, want):
    """places have one digit behind the point"""
    if isinstance(want, str):
        return got == want
    if isinstance(want, list):
        numbers = [float(x) for x in re.findall(r"[-\d.]+", got)]
        return len(numbers) == len(want) and all(abs(a - b) <= .051 for a, b in zip(numbers, want))
    return abs(float(got) - want) <= .051


class Pictures:
    """the plots of the columns that moved most, of which equally strong ones may come in any order"""
    kind = "svg"

    def __init__(self, label, tests, most, shares):
        self.label, self.left, self.count, self.shares = label, tests[:], min(most, len(tests)), shares

    def check(self, svg):
        top = max(t["effect"] for t in self.left)
        for t in self.left:
            title = Text("", num("%.3f", t["effect"]), names=(t["column"][:40], t["status"]))
            if t["effect"] >= top * (1 - NEAR) and svg.label.startswith(t["column"][:40] + ":") and not title.check(svg.label):
                self.left.remove(t)
                return histogram(title, self.shares(t["column"])).check(svg)
        return f"{svg.label!r} is none of {[t['column'] for t in self.left]} with effect {top}"


def expand(items):
    for item in items:
        yield from [item] * item.count if isinstance(item, Pictures) else [item]


def compare(page, wanted):
    if re.search(r"(?<!\w)-?(nan|inf)(?!\w)", page.everything()):
        raise SystemExit(f"{page.path}: shows a number that is none")
    got = [i for i in page.items if i[0] != "text" or figures(i[2])]
    wanted = [w for w in expand(wanted) if not isinstance(w, Text) or w.shows()]
    for i, want in enumerate(wanted):
        if i == len(got):
            raise SystemExit(f"{page.path}: {want.label} is missing")
        why = f"a {got[i][0]} is there instead: {got[i][-1] if got[i][0] != 'svg' else got[i][1].label!r}" if got[i][0] != want.kind \
            else want.check(got[i][-1])
        if why:
            raise SystemExit(f"{page.path}: {want.label}: {why}")
    if len(got) > len(wanted):
        raise SystemExit(f"{page.path}: has figures that are in no JSON: {got[len(wanted)]}")
    return len(wanted)


# --- plots ---

def histogram(title, shares):
    """shares: (low, high, reference's, current's), or None where the column is not at hand"""
    if shares is None:
        return Plot("plot", title, [(lambda got: None)] * 2 + ["reference", "current"], {})
    low, high, a, b = shares
    most, step, bars = max(1e-12, *a, *b), 270 / len(a), []
    for i, (x, y) in enumerate(zip(a, b)):
        for v, colour, opacity in ((x, "var(--a)", ".55"), (y, "var(--b)", ".5")):
            bars.append({"x": 10 + i * step, "y": 115 - 90 * v / most, "height": 90 * v / most, "fill": colour, "opacity": opacity})
    return Plot("plot", title, [num("%.3g", low), num("%.3g", high), "reference", "current"], {"rect": bars})


def lines(label, title, series, names):
    known = [v for s in series for v in s if v is not None]
    low, high = (min(known), max(known)) if known else (math.inf, -math.inf)
    high = high if high > low else low + 1
    n = len(series[0])
    points = [[c for i, v in enumerate(s) if v is not None
               for c in (45 + (320 * i / (n - 1) if n > 1 else 160), 140 - 120 * (v - low) / (high - low))] for s in series]
    return Plot(label, title, [*names, num("%.3g", high), num("%.3g", low), {"1"}, {str(n)}], {"polyline": [{"points": p} for p in points]})


def bars(label, title, rows):
    """rows: (name, value, low, high)"""
    return Plot(label, title, [t for name, v, _, _ in rows for t in (name, percent(v))],
                {"rect": [{"width": 250 * v} for _, v, _, _ in rows],
                 "line": [{"x1": 200 + 250 * low, "x2": 200 + 250 * high} for _, _, low, high in rows]})


def confusion(label, title, counts, names):
    texts, shades = [], []
    for name, row in zip(names, counts):
        texts += [name, *[{str(c)} for c in row if c]]
        shades += [{"fill-opacity": .06 + .9 * c / sum(row) if c else .02} for c in row]
    return Plot(label, title, texts + list(names), {"rect": shades})
