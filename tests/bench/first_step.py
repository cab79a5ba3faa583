#!/usr/bin/env python3
"""Seconds from exec to the end of the first training step: first_step.py COMMAND...; the command logs JSON lines.

The program's own clock starts where its log starts, after loading: what lies before is seen from here. A line arrives at
arrival seconds after exec and says t seconds after the log's start; the difference belongs to the start.
"""
import json
import subprocess
import sys
import time

begin = time.perf_counter()
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
before, first = None, None
for text in p.stdout:
    arrival = time.perf_counter() - begin
    try:
        line = json.loads(text)
    except ValueError:
        continue
    if "t" in line:  # a busy machine delays lines, never hastens them: the smallest difference is nearest
        before = min(arrival - line["t"], before if before is not None else 1e9)
    first = line.get("first_step_at", first)
if p.wait() or first is None:
    sys.exit(f"first_step: {' '.join(sys.argv[1:])} exited {p.returncode}, first step {first}")
print(json.dumps({"what": "start", "peer": "ours", "variant": "exec to the first training step", "rate": before + first,
                  "unit": "s"}))
