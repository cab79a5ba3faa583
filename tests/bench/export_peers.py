"""Exported models before ONNX's checker and in ONNX Runtime. For export_peers.sh.

usage: export_peers.py NIGHTSHIFT MODELS, in an empty folder
"""
import json
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime

onnxruntime.set_default_logger_severity(4)
NS, MODELS = sys.argv[1], pathlib.Path(sys.argv[2])
failed = 0


def nightshift(*args):
    done = subprocess.run([NS, *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nightshift {' '.join(args)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def probabilities(model, files, classes):
    rows = [json.loads(line) for line in nightshift("predict", model, *files, "--json", "--top", "1000").splitlines()]
    return np.array([[{c["class"]: c["probability"] for c in r["classes"]}[k] for k in classes] for r in rows if "file" in r])


def judge(what, folder, x, wanted, output):
    global failed
    onnx.checker.check_model(f"{folder}/model.onnx", full_check=True)
    s = onnxruntime.InferenceSession(f"{folder}/model.onnx", providers=["CPUExecutionProvider"])
    worst = np.abs(s.run([output], {s.get_inputs()[0].name: x})[0] - wanted).max()
    failed += not worst < 1e-5
    print(f"{'equal ' if worst < 1e-5 else 'DIFFERS'} {what}: largest difference of a probability {worst:.1e}, {len(x)} images")


def noise(n, h, w):
    draw, files = np.random.default_rng(n), []
    pixels = draw.integers(0, 256, (n, h, w, 3)).astype(np.uint8)
    for i, p in enumerate(pixels):
        pathlib.Path(f"set{n}/{i % 2}").mkdir(parents=True, exist_ok=True)
        files.append(f"set{n}/{i % 2}/{i:03}.ppm")
        pathlib.Path(files[-1]).write_bytes(b"P6 %d %d 255\n" % (w, h) + p.tobytes())
    return pixels, files


pixels, files = noise(24, 32, 24)
nightshift("ingest", "set24", "--ingest.size=32x24x3", "--out", "set")
for name, args in (("basic blocks", ["--model.blocks=[1,1]", "--model.width=8"]), ("bottlenecks", ["--model.blocks=[1,2]", "--model.width=4", "--model.block=bottleneck", "--model.stem=imagenet"])):
    nightshift("train", "--data", "set", *args, "--train.epochs=2", "--train.batch=8", "--train.virtual_ranks=2", "--train.precision=f32", "--out", "m", "--force")
    nightshift("export", "m", "--out", "beside", "--force")
    nightshift("export", "m", "--inside", "--with-preprocessing", "--out", "inside", "--force")
    facts = json.load(open("beside/export.json", encoding="utf-8"))
    wanted = probabilities("m", files, facts["classes"])
    x = (pixels / np.float32(255) - np.float32(facts["preprocess"]["mean"])) / np.float32(facts["preprocess"]["std"])
    judge(f"{name}, weights beside the file", "beside", x.transpose(0, 3, 1, 2).astype(np.float32), wanted, "probabilities")
    judge(f"{name}, bytes, all inside", "inside", pixels, wanted, "probabilities")
if (MODELS / "open-nsfw.onnx").exists():
    pixels, files = noise(3, 224, 224)
    nightshift("import", str(MODELS / "open-nsfw.onnx"), "--classes", "[safe, not]", "--fit", "stretch", "--filter", "bilinear", "--colours", "bgr", "--range", "255", "--mean", "[104,117,123]", "--std",
               "[1,1,1]", "--out", "nsfw")
    nightshift("export", "nsfw", "--with-preprocessing", "--out", "front")
    judge("open-nsfw, its preprocessing in front", "front", pixels, probabilities("nsfw", files, ["safe", "not"]), "outputs")
else:
    print("SKIPPED: open-nsfw: tests/bench/models.sh has not fetched it")
sys.exit(1 if failed else 0)
