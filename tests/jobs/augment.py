"""known answers for `augment`: augment.py BINARY, in a folder that it may fill"""
import json
import pathlib
import struct
import subprocess
import sys
import zlib

import h5py
import numpy as np

import draws
import draws_1

RECIPES = [ # of version 2
    [{"crop": {"padding": 3}}],
    [{"random_resized_crop": {"range": [0.2, 0.9], "aspect": [0.6, 1.6]}}],
    [{"random_resized_crop": {"range": [0.08, 1], "p": 0.9}}, {"crop": {"padding": 2}}],
    [{"crop": {"padding": 2, "p": 0.7}}, {"random_resized_crop": {"range": [0.5, 1], "aspect": [2, 4]}}], # windows that do not fit
    [{"rotate": [-40, 40]}],
    [{"zoom": [0.7, 1.5]}],
    [{"shear": [-20, 20]}],
    [{"shift": [-0.3, 0.3]}],
    [{"flip": 0.5}, {"vertical_flip": 0.3}],
    [{"shift": [-0.3, 0.3]}, {"rotate": [-90, 90]}, {"flip": {"p": 0.4}}, {"shear": 10}, {"zoom": [0.5, 2]}], # in the order of the list
    [{"rotate": {"range": 45, "p": 0}}, {"zoom": {"range": 1.25, "p": 0.6}}], # one has no say about the other
    [{"resolution": [0.3, 0.9]}],
    [{"blur": [0.0, 4]}],
    [{"brightness": [0.6, 1.4]}],
    [{"contrast": [0.5, 1.5]}],
    [{"saturation": [0.0, 2.0]}],
    [{"hue": [-0.5, 0.5]}],
    [{"brightness": {"range": [0.6, 1.4], "p": 0.5}}, {"contrast": {"range": [0.5, 1.5], "p": 0.7}}],
    [{"gamma": [0.4, 2.5]}],
    [{"noise": {"range": [0.01, 0.1], "p": 0.7}}],
    [{"cutout": [0.2, 0.7]}],
    [{"crop": {"padding": 1}}, {"rotate": {"range": [-25, 25], "p": 0.8}}, {"zoom": {"range": [0.8, 1.2], "p": 0.8}},
     {"shear": {"range": [-9, 9], "p": 0.8}}, {"shift": {"range": [-0.1, 0.1], "p": 0.8}}, {"flip": 0.5},
     {"resolution": {"range": [0.5, 1], "p": 0.5}}, {"blur": {"range": [0, 1], "p": 0.5}},
     {"brightness": {"range": [0.6, 1.4], "p": 0.8}}, {"contrast": {"range": [0.6, 1.4], "p": 0.8}},
     {"saturation": {"range": [0.5, 1.5], "p": 0.8}}, {"hue": {"range": [-0.1, 0.1], "p": 0.8}}, {"gamma": {"range": [0.7, 1.4], "p": 0.5}},
     {"noise": {"range": [0, 0.05], "p": 0.5}}, {"cutout": {"range": [0.1, 0.5], "p": 0.5}}],
]
GREY = [[{"saturation": [0.0, 2.0]}, {"hue": [-0.5, 0.5]}], RECIPES[-1]]
FIRST = [ # of version 1: what they meant stays
    [{"crop": {"padding": 3}}],
    [{"random_resized_crop": {"range": [0.2, 0.9], "aspect": [0.6, 1.6]}}],
    [{"rotate": [-40, 40]}, {"zoom": [0.7, 1.5]}, {"shear": [-20, 20]}, {"shift": [-0.3, 0.3]}],
    [{"flip": 0.5}, {"vertical_flip": 0.3}],
    [{"resolution": [0.3, 0.9]}],
    [{"blur": [0.0, 1.5]}],
    [{"brightness": {"range": [0.6, 1.4], "p": 0.5}}, {"contrast": {"range": [0.5, 1.5], "p": 0.5}}],
    [{"saturation": [0.0, 2.0]}, {"hue": [-0.5, 0.5]}],
    [{"gamma": [0.4, 2.5]}, {"noise": {"range": [2, 20], "p": 0.7}}, {"cutout": [0.2, 0.7]}],
]
H, W, ROWS, SEED = 9, 7, 12, 2**33 + 5 # a seed of more than 32 bits, and no square


def png(pixels):
    h, w, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2 if channels == 3 else 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def must(binary, *args):
    done = subprocess.run([binary, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, (args, done.stdout)


def rows_of(folder):
    """images and identities of a data set, in its order"""
    shards = [h5py.File(pathlib.Path(folder) / s["file"], "r") for s in json.loads((pathlib.Path(folder) / "dataset.json").read_text())["shards"]]
    return [np.concatenate([s[name][:] for s in shards]) for name in ("image", "id")]


def windows():
    """wide windows are as frequent as high ones: the ratio's logarithm is drawn evenly (an even ratio makes it .43)"""
    recipe = [{"random_resized_crop": [0.08, 1]}]
    wide = [(cw > ch) - (cw < ch) for _, _, cw, ch in (draws.Sample(recipe, SEED, 0, i).window(200, 200) for i in range(4000))]
    assert abs(sum(wide)) < 4 * 4000**0.5, sum(wide)


def main(binary):
    windows()
    random = np.random.default_rng(1)
    for channels in (3, 1):
        source, data = pathlib.Path(f"photos-{channels}"), f"data-{channels}"
        source.mkdir()
        for i in range(ROWS): # smooth images with noise, so that neither an edge nor a flat place is missing
            y, x, c = np.mgrid[:H, :W, :channels]
            image = 128 + 90 * np.sin(i + y / 2 + c) * np.cos(x / 2 - i * c) + random.normal(0, 12, (H, W, channels))
            (source / f"{i:02}.png").write_bytes(png(np.clip(image, 0, 255).astype(np.uint8)))
        must(binary, "ingest", str(source), "--out", data, "--ingest.classes=[a, b]", "--ingest.shard_rows=5")
        before, identity = rows_of(data)
        cases = [(recipe, recipe, draws) for recipe in (RECIPES if channels == 3 else GREY)]
        cases += [({"version": 1, "operations": recipe}, recipe, draws_1) for recipe in FIRST if channels == 3]
        for number, (given, recipe, drawn) in enumerate(cases):
            out = f"out-{channels}-{number}"
            must(binary, "augment", "--data", data, "--out", out, f"--seed={SEED}", "--augment=" + json.dumps(given), "--threads=1")
            kept = json.loads((pathlib.Path(out) / "dataset.json").read_text())["made"]["recipe"]
            assert kept == {"version": 2 if given is recipe else 1, "operations": recipe}, kept
            after, _ = rows_of(out)
            changed = 0
            for i in range(ROWS):
                want = drawn.Sample(recipe, SEED, 0, int(identity[i])).to(before[i])
                changed += (want != before[i]).any()
                assert (after[i] == want).all(), (f"{recipe} of row {i} with {channels} channels: {(after[i] != want).sum()} bytes differ, "
                                                  f"the first {after[i][after[i] != want][0]} for {want[after[i] != want][0]}")
            assert changed > 2 or recipe is GREY[0], (recipe, changed) # grey has no colour to turn or to take
    print(f"{len(RECIPES) + len(FIRST) + len(GREY)} recipes")


if __name__ == "__main__":
    main(sys.argv[1])
