#!/usr/bin/env python3
"""nightshift's model in PyTorch: load_in_torch.py MODEL.safetensors MODEL.json PREDICTIONS-FOLDER DATASET-FOLDER

Loads the weights with load_state_dict, runs them over the data set's images and compares with `prob` of the predictions.
Prints the largest difference; exits 1 if it is more than 1e-4 (both sides are f32 and sum in different orders).
"""
import json
import pathlib
import sys

import h5py
import numpy as np
import torch
from safetensors.torch import load_file

sys.dont_write_bytecode = True  # nothing appears in the source tree
from resnet import ResNet  # noqa: E402

LIMIT = 1e-4


def load(weights, model):
    m = ResNet(model["architecture"])
    missing, unexpected = m.load_state_dict(load_file(weights), strict=False)
    # PyTorch counts batches there, which no formula reads once the momentum is a number
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"{weights}: PyTorch misses {missing} and does not know {unexpected}")
    return m.eval()


def probabilities(m, model, images):
    mean, std = (torch.tensor(model["preprocess"][k]).view(1, -1, 1, 1) for k in ("mean", "std"))
    rows = []
    with torch.inference_mode():
        for x in np.array_split(images, max(1, len(images) // 256)):
            x = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).float()
            rows.append(torch.softmax(m((x / 255 - mean) / std) / model["temperature"], 1))
    return torch.cat(rows).numpy()


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    weights, path, predictions, data = sys.argv[1:]
    model = json.loads(pathlib.Path(path).read_text())
    m = load(weights, model)
    shards = json.loads((pathlib.Path(data) / "dataset.json").read_text())["shards"]
    worst, rows, spread = 0.0, 0, 0.0
    for i, shard in enumerate(shards):
        with h5py.File(pathlib.Path(data) / shard["file"]) as d, h5py.File(
                pathlib.Path(predictions) / f"predictions-{i:05d}.h5") as p:
            if not np.array_equal(d["id"][:], p["id"][:]):
                sys.exit(f"{shard['file']}: the predictions are of other rows")
            want, got = probabilities(m, model, d["image"][:]), p["prob"][:]
            worst = max(worst, float(np.abs(want - got).max()))
            spread = max(spread, float(got.std(axis=0).max()))
            rows += len(got)
    print(f"{rows} rows, largest difference {worst:.2e}, at most {LIMIT:.0e} is wanted")
    if rows == 0 or spread < 1e-3:
        sys.exit("the predictions hardly differ between rows: nothing was compared")
    return not worst <= LIMIT


if __name__ == "__main__":
    sys.exit(main())
