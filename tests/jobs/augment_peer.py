"""The augmentation against torchvision: what each name means, in which direction, in which unit and in which order.

augment_peer.py BINARY [DEVICE..]    compares with augment_peer.json, in a folder that it may fill
augment_peer.py --record             writes augment_peer.json anew (wants torch and torchvision)
"""
import base64
import json
import math
import pathlib
import subprocess
import sys
import zlib

import numpy as np

KEPT = pathlib.Path(__file__).with_name("augment_peer.json")
H, W = 24, 32
# name: recipe, pixels of the margin that differ by how edges are continued, the largest difference in bytes
CASES = {
    "rotate": ([{"rotate": 30}], 0, 1),
    "zoom": ([{"zoom": 1.3}], 0, 1),
    "zoom out": ([{"zoom": 0.8}], 0, 1),
    "shear": ([{"shear": 15}], 0, 1),
    "shift": ([{"shift": 0.125}], 0, 0),
    "affine": ([{"shear": 12}, {"zoom": 1.2}, {"rotate": -20}, {"shift": 0.125}], 0, 1),
    "shift, then rotate": ([{"shift": 0.125}, {"rotate": 25}], 0, 1),
    "flip": ([{"flip": 1}], 0, 0),
    "vertical flip": ([{"vertical_flip": 1}], 0, 0),
    "blur": ([{"blur": 2}], 8, 1),
    "small blur": ([{"blur": 0.6}], 3, 1),
    "brightness": ([{"brightness": 1.4}], 0, 1),
    "saturation": ([{"saturation": 1.7}], 0, 1),
    "grey": ([{"saturation": 0}], 0, 1),
    "hue": ([{"hue": 0.2}], 0, 1),
    "hue back": ([{"hue": -0.35}], 0, 1),
    "gamma": ([{"gamma": 1.8}], 0, 1),
}


def image():
    """smooth, so that how one interpolates matters little, with an edge, and of all colours"""
    y, x, c = np.mgrid[:H, :W, :3]
    v = 128 + 100 * np.sin(x / 5 + 2.1 * c) * np.cos(y / 6 - c) + 20 * (x > y)
    return np.clip(v, 0, 255).astype(np.uint8)


def by_torchvision(x):
    import torch
    import torchvision
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as F
    t, smooth = torch.from_numpy(x).permute(2, 0, 1), InterpolationMode.BILINEAR
    dx, dy, c, s = W // 8, H // 8, math.cos(math.radians(25)), math.sin(math.radians(25))

    def affine(angle=0, translate=(0, 0), scale=1, shear=(0, 0)):
        return F.affine(t, angle, list(translate), scale, list(shear), interpolation=smooth)
    made = {
        "rotate": F.rotate(t, 30, interpolation=smooth),
        "zoom": affine(scale=1.3),
        "zoom out": affine(scale=0.8),
        "shear": affine(shear=(15, 0)),
        "shift": affine(translate=(dx, dy)),
        "affine": affine(20, (dx, dy), 1.2, (12, 0)),
        "shift, then rotate": affine(-25, (dx * c + dy * s, dy * c - dx * s)), # a shift that is turned too
        "flip": F.horizontal_flip(t),
        "vertical flip": F.vertical_flip(t),
        "blur": F.gaussian_blur(t, [17, 17], [2, 2]),
        "small blur": F.gaussian_blur(t, [7, 7], [0.6, 0.6]),
        "brightness": F.adjust_brightness(t, 1.4),
        "saturation": F.adjust_saturation(t, 1.7),
        "grey": F.adjust_saturation(t, 0),
        "hue": F.adjust_hue(t, 0.2),
        "hue back": F.adjust_hue(t, -0.35),
        "gamma": F.adjust_gamma(t, 1.8),
    }
    return f"torchvision {torchvision.__version__.split('+')[0]}", {name: y.permute(1, 2, 0).numpy() for name, y in made.items()}


def record():
    by, made = by_torchvision(image())
    packed = {name: base64.b64encode(zlib.compress(y.tobytes(), 9)).decode() for name, y in made.items()}
    KEPT.write_text(json.dumps({"by": by, "height": H, "width": W, "images": packed}, indent=0) + "\n")


def compare(binary, devices):
    import augment
    kept = json.loads(KEPT.read_text())
    assert set(kept["images"]) == set(CASES), set(kept["images"]) ^ set(CASES)
    photos = pathlib.Path("photos")
    photos.mkdir()
    (photos / "one.png").write_bytes(augment.png(image()))
    subprocess.run([binary, "ingest", "photos", "--out", "one"], check=True, capture_output=True)
    for device in devices:
        for number, (name, (recipe, margin, most)) in enumerate(CASES.items()):
            out = f"{device}-{number}"
            augment.must(binary, "augment", "--data", "one", "--out", out, "--augment=" + json.dumps(recipe), f"--device={device}", "--threads=1")
            got = augment.rows_of(out)[0][0].astype(int)
            want = np.frombuffer(zlib.decompress(base64.b64decode(kept["images"][name])), np.uint8).reshape(H, W, 3).astype(int)
            apart = np.abs(got - want)[margin:H - margin, margin:W - margin].max()
            assert apart <= most, f"{name} on {device}: {apart} from {kept['by']}, at most {most} expected"
            assert np.abs(image().astype(int) - want).max() > 5, name # a case that shows nothing
    print(f"{len(CASES)} operations as {kept['by']} on {', '.join(devices)}")


if __name__ == "__main__":
    record() if sys.argv[1] == "--record" else compare(sys.argv[1], sys.argv[2:])
