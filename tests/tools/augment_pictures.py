"""Draws docs/augment/*.png: what each operation makes of one picture. augment_pictures.py BINARY"""
import json
import pathlib
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "jobs"))
import augment  # noqa: E402

SIDE = 96
SHOWN = [{"crop": {"padding": 20}}, {"random_resized_crop": [0.3, 0.3]}, {"rotate": 25}, {"zoom": 1.5}, {"shear": 20}, {"shift": 0.2}, {"flip": 1},
         {"vertical_flip": 1}, {"resolution": 0.15}, {"blur": 2.5}, {"brightness": 1.5}, {"contrast": 2}, {"saturation": 2}, {"hue": 0.25},
         {"gamma": 2.2}, {"noise": 0.15}, {"cutout": 0.4}]


def picture():
    """sky, sun, ground, and an F, which looks like no mirror image of its own"""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    p = np.stack([0.55 + 0.3 * y, 0.7 + 0.15 * y, 0.9 + 0 * y], 2)
    ground = y > 0.72 + 0.05 * np.sin(9 * x)
    p[ground] = np.stack([0.3 + 0.1 * x, 0.55 - 0.2 * x, 0.2 + 0 * x], 2)[ground]
    p[(x - 0.78)**2 + (y - 0.2)**2 < 0.012] = 0.98, 0.82, 0.2
    for left, top, right, low in ((0.2, 0.2, 0.32, 0.85), (0.2, 0.2, 0.62, 0.31), (0.2, 0.45, 0.52, 0.56)):
        p[(x >= left) & (x < right) & (y >= top) & (y < low)] = 0.75, 0.12, 0.15
    return (255 * p + 0.5).astype(np.uint8)


def main(binary):
    target = ROOT / "docs" / "augment"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "photos").mkdir()
        (work / "photos" / "one.png").write_bytes(augment.png(picture()))
        augment.must(binary, "ingest", str(work / "photos"), "--out", str(work / "one"))
        (target / "none.png").write_bytes(augment.png(picture()))
        for entry in SHOWN:
            name, = entry
            augment.must(binary, "augment", "--data", str(work / "one"), "--out", str(work / name), "--augment=" + json.dumps([entry]), "--seed=3")
            (target / f"{name}.png").write_bytes(augment.png(augment.rows_of(work / name)[0][0]))


if __name__ == "__main__":
    main(sys.argv[1])
