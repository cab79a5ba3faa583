#!/usr/bin/env python3
"""add.py FILE... - appends rows to table.tsv: lines of `file, old text, new text, tests [, reason]`, tab separated, as a person writes them down.

Each gets the next number. A row that is there already gains the tests that it did not name. What cannot be planted (see plant.py) is
said and left out, and then this exits 1."""
import os
import re
import sys

import plant

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "table.tsv")
ROOT = os.path.dirname(os.path.dirname(HERE))


def key(row):
    return os.path.basename(row.file), plant.strip(row.old), plant.strip(row.new)


def read_lines(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if not line.strip() or line.startswith("#"):
            continue
        fields = [re.sub(r"\s+", " ", re.sub(r"^(\\t|\s)+", "", f)).strip() for f in line.split("\t")]
        if not 4 <= len(fields) <= 5:
            print("%s:%d: file, old, new, tests and perhaps a reason are wanted, by tabs" % (path, number), file=sys.stderr)
            continue
        yield "%s:%d" % (path, number), (fields + [""])[:5]


def why_not(row, sources):
    """None where it can be planted"""
    try:
        name = plant.find_file(ROOT, row.file)
        if name not in sources:
            sources[name] = plant.Source(open(os.path.join(ROOT, name), encoding="utf-8").read())
        plant.check_kind(name)
        plant.place_of(sources[name], row)
    except plant.Refused as e:
        return str(e)
    return None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rows = plant.read_table(TABLE)
    known, sources, bad, new = {key(r): i for i, r in enumerate(rows)}, {}, 0, 0
    for path in sys.argv[1:]:
        for where, fields in read_lines(path):
            row = plant.Row(max([r.id for r in rows], default=0) + 1, *fields)
            why = why_not(row, sources)
            if why:
                print("%s: %s: %s" % (where, why, row.old), file=sys.stderr)
                bad += 1
            elif key(row) in known:
                old = rows[known[key(row)]]
                more = [t for t in row.tests.split() if t not in old.tests.split()]
                rows[known[key(row)]] = old._replace(tests=" ".join(old.tests.split() + more))
            else:
                known[key(row)] = len(rows)
                rows.append(row)
                new += 1
    comments = [line for line in open(TABLE, encoding="utf-8") if line.startswith("#")]
    with open(TABLE, "w", encoding="utf-8") as f:
        f.writelines(comments)
        for r in rows:
            f.write("\t".join([str(r.id), *r[1:]]).rstrip("\t") + "\n")
    print("%d rows added, %d cannot be planted, %d in all" % (new, bad, len(rows)))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
