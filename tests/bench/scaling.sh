#!/usr/bin/env bash
# Ratios that a cluster lives by, each pair of them measured in turns in one run: 1 rank against 2 (weak scaling, a thread each), the
# deterministic sum against MPI's own, training with and without checkpoints, exec to the first batch. A table on standard output.
#
#	NS_BUILD=build tests/bench/scaling.sh [ROUNDS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../build.sh"
ns=$build/nightshift rounds=${1:-7}
work=$(mktemp -d "${TMPDIR:-/tmp}/nightshift-scaling.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
python3 - "$build" "$ns" "$here" "$rounds" <<'P'
import json, os, statistics, subprocess, sys

build, ns, here, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def lines(text):
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            pass

def start(ranks, core, *args):
    launch = ["mpirun", "-n", str(ranks), "--bind-to", "core"] if ranks > 1 else ["taskset", "-c", str(core)]
    return subprocess.Popen(launch + [ns, *args, "--json", "--threads=1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

def finish(p, event, key):
    out = p.communicate()[0]
    if p.returncode:
        sys.exit(out)
    return [l for l in lines(out) if l.get("event") == event][-1][key] if isinstance(key, str) else key(out)

def run(ranks, *args, event, key, core=0):
    return finish(start(ranks, core, *args), event, key)

def quiet(*args):
    subprocess.run([ns, *args], check=True, stdout=subprocess.DEVNULL)

def row(what, value, wanted, detail):
    print("| %s | %s | %s | %s |" % (what, value, wanted, detail), flush=True)

def med(x):
    return statistics.median(x)

subprocess.run([os.path.join(build, "images"), "idx", "train", "12000", "1"], check=True)
quiet("ingest", "train/images-idx3-ubyte", "--out", "data")
subprocess.run([os.path.join(build, "images"), "idx", "many", "60000", "2"], check=True)
quiet("ingest", "many/images-idx3-ubyte", "--ingest.shard_rows=5000", "--out", "many-data")
demo = ["--model.blocks=[1,1,1]", "--model.width=16"]
wide = ["--model.blocks=[2,2,2,2]", "--model.width=64"]

def train(ranks, out, net, rows_epochs, extra=(), core=0):
    batch, vr = 64 * ranks, 4 * ranks
    return start(ranks, core, "train", "--data", "data", *net, "--train.batch=%d" % batch, "--train.virtual_ranks=%d" % vr,
                 "--train.epochs=%d" % rows_epochs, "--train.precision=f32", "--train.checkpoint_steps=0", *extra, "--out", out)

def rate(p):
    return finish(p, "trained", "images_per_second")

print("| what | measured | wanted | how |\n|---|---:|---:|---|")
one, pair, both = [], [], []
for r in range(rounds):
    one.append(rate(train(1, "a%d" % r, demo, 1)))
    p, q = train(1, "b%d" % r, demo, 1), train(1, "c%d" % r, demo, 1, core=1)
    pair.append(rate(p) + rate(q))
    both.append(rate(train(2, "d%d" % r, demo, 2)))
each = 64 / med(both) * 2  # seconds of a step
row("training, 1 to 2 ranks", "%.1f %%" % (100 * med(both) / med(one) / 2), "95 %",
    "%.0f and %.0f images/s; two lone processes at once reach %.1f %%" % (med(one), med(both), 100 * med(pair) / med(one) / 2))

quiet("train", "--data", "data", *demo, "--train.epochs=1", "--train.precision=f32", "--out", "model")
def infer(ranks, out, data, core=0):
    return start(ranks, core, "infer", "--model", "model", "--data", data, "--infer.precision=f32", "--out", out)
def infer_rate(p):
    return finish(p, "published", "counts")["rows_per_second"]
one, pair, both = [], [], []
for r in range(rounds):
    one.append(infer_rate(infer(1, "e%d" % r, "many-data")))
    p, q = infer(1, "f%d" % r, "many-data"), infer(1, "g%d" % r, "many-data", core=1)
    pair.append(infer_rate(p) + infer_rate(q))
    both.append(infer_rate(infer(2, "h%d" % r, "many-data")))
row("inference, 1 to 2 ranks", "%.1f %%" % (100 * med(both) / med(one) / 2), "95 %",
    "%.0f and %.0f images/s; two lone processes at once reach %.1f %%" % (med(one), med(both), 100 * med(pair) / med(one) / 2))

out = run(2, "bench", "--bench.only=deterministic", "--bench.seconds=0.2", "--out", "sums", event="", key=lambda text: list(lines(text)))
sums = {l["what"]: l for l in out if l.get("event") == "bench"}
big = 64 / run(1, "bench", "--bench.only=training ResNet-18 (CIFAR), f32", "--bench.seconds=6", "--bench.batch=64", "--out", "step", event="bench", key="rate")
for what, step in (("demo network", each), ("ResNet-18", big)):
    s = sums["deterministic sum, " + what]
    row("deterministic sum over MPI's, %s" % what, "%+.1f %% of a step" % (100 * (s["tree_ms"] - s["mpi_ms"]) / 1e3 / step), "10 %",
        "%.3f ms and %.3f ms, step %.1f ms" % (s["tree_ms"], s["mpi_ms"], 1e3 * step))

without, every = [], []
for r in range(rounds):
    without.append(rate(train(2, "i%d" % r, demo, 4)))
    every.append(rate(train(2, "j%d" % r, demo, 4, ["--train.checkpoint_steps=50"])))
row("a checkpoint every 50 steps, demo network", "%+.2f %%" % (100 * (med(without) / med(every) - 1)), "2 %",
    "2 ranks, %.0f and %.0f images/s; file system of %s" % (med(without), med(every), os.path.dirname(os.getcwd())))

first = []
for r in range(rounds):
    out = subprocess.run([sys.executable, here + "/first_step.py", ns, "train", "--data", "data", *demo, "--train.epochs=1", "--train.precision=f32", "--json",
                          "--threads=1", "--out", "k%d" % r], check=True, capture_output=True, text=True).stdout
    first.append(json.loads(out)["rate"])
row("exec to the first step, alone", "%.2f s" % med(first), "0.3 s", "%.2f to %.2f s" % (min(first), max(first)))
P
