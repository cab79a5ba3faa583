"""Where images were taken: erased from files that are kept as they came, or kept in the annotation: for paths.py, whose functions it is given."""
import pathlib
import struct
import sys
import zlib

import h5py

import paths_objects

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "fuzz"))
import seeds_formats as formats  # noqa: E402

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "fuzz/corpus"
XMP = (b'<x:xmpmeta><rdf:Description exif:GPSLatitude="48,8.5N" exif:GPSLongitude = \'11,34W\' tiff:Make="K"><exif:GPSAltitude>519/1</exif:GPSAltitude>'
       b"<drone-dji:GpsLatitude>+48.1</drone-dji:GpsLatitude></rdf:Description></x:xmpmeta>")
BLANK = (b'<x:xmpmeta><rdf:Description exif:GPSLatitude="       " exif:GPSLongitude = \'      \' tiff:Make="K"><exif:GPSAltitude>     </exif:GPSAltitude>'
         b"<drone-dji:GpsLatitude>     </drone-dji:GpsLatitude></rdf:Description></x:xmpmeta>")


def segment(data):
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def kept(folder):
    with h5py.File(f"{folder}/shard-00000.h5") as f:
        source, at = f["source"][()].tobytes(), f["source_offset"][:]
        data, begin = f["image_bytes"][()].tobytes(), f["image_offset"][:]
        return {source[int(at[i]):int(at[i + 1])].decode(): data[int(begin[i]):int(begin[i + 1])] for i in range(len(at) - 1)}


def place(binary, t):
    whole = {}
    blank = {}
    jpeg = (CORPUS / "jpeg/grey.jpg").read_bytes()
    for big in (False, True):
        with_, without = formats.placed(big)
        for name, made in (("jpeg.jpg", lambda e, x: jpeg[:2] + segment(b"Exif\0\0" + e) + segment(b"http://ns.adobe.com/xap/1.0/\0" + x) + jpeg[2:]),
                           ("more.jpg", lambda e, x: jpeg + jpeg[:2] + segment(b"Exif\0\0" + e) + jpeg[2:]), # a second image behind it
                           ("png.png", lambda e, x: t.png(5)[:33] + chunk(b"eXIf", e) + t.png(5)[33:]),
                           ("webp.webp", lambda e, x: formats.webp((b"VP8X", struct.pack("<I", 8 | 4) + b"\6\0\0\4\0\0"), (b"VP8L", formats.lossless(7, 5, (1, 2, 3, 255))),
                                                                   (b"EXIF", e), (b"XMP ", x)))):
            whole[f"{big}{name}"], blank[f"{big}{name}"] = made(with_, XMP), made(without, BLANK)
        with_, without = formats.placed(big, {256: (3, [8]), 257: (3, [6]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 277: (3, [1]), 278: (3, [6])}, [bytes(range(48))])
        whole[f"{big}tiff.tif"], blank[f"{big}tiff.tif"] = with_, without
    whole["none.jpg"] = blank["none.jpg"] = jpeg
    pathlib.Path("places").mkdir()
    for name, data in whole.items():
        pathlib.Path("places", name).write_bytes(data)
    t.ingest(binary, "places")
    found = kept("out")
    for name, data in blank.items():
        t.check(found[name] == data, f"{name}: {found[name]}, wanted {data}")
    t.check(set(paths_objects.told("out").values()) == {None}, "a place is in the annotations")
    with h5py.File("out/shard-00000.h5") as f:
        positions = f["file_position"][:].sum()
    t.check(positions == 8, f"{positions} images say where they were taken")
    t.ingest(binary, "places", "--ingest.keep_gps=true")
    t.check(kept("out") == whole, "files are changed, although they may say where they were taken")
    told = paths_objects.told("out")
    for name in whole:
        want = None if name == "none.jpg" or "more" in name else {"gps": [(-1 if name.startswith("True") else 1) * (48 + 8 / 60 + 30.59 / 3600), -(11 + 34 / 60)]}
        got = told[name]
        t.check((got is None) == (want is None) and (not want or all(abs(a - b) < 1e-9 for a, b in zip(got["gps"], want["gps"]))), f"{name}: {got}, wanted {want}")
    # beside what a list says
    pathlib.Path("places/list.csv").write_text("path,label,site\nFalsejpeg.jpg,a,x\nTruejpeg.jpg,a,y\n", encoding="utf-8")
    t.ingest(binary, "places/list.csv", "--ingest.keep_gps=true", "--size", "4x4")
    with h5py.File("out/shard-00000.h5") as f:
        words = f["annotation"][()].tobytes()
    t.check(words.count(b'"gps":[48.14') == 1 and words.count(b'"gps":[-48.14') == 1 and words.count(b'"site":"x"') == 1, f"beside others: {words}")
    # a folder of a place that points at the pixels
    with_, _ = formats.placed(False, {256: (3, [8]), 257: (3, [6]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 277: (3, [1]), 278: (3, [6])}, [bytes(range(1, 49))])
    at = with_.index(bytes(range(1, 49)))
    pathlib.Path("odd").mkdir()
    pathlib.Path("odd/a.tif").write_bytes(with_.replace(struct.pack("<HHI", 2, 5, 3) + with_[with_.index(struct.pack("<HHI", 2, 5, 3)) + 8:][:4],
                                                        struct.pack("<HHII", 2, 5, 3, at)))
    pathlib.Path("odd/b.jpg").write_bytes(jpeg)
    t.ingest(binary, "odd", "--ingest.refuse_share=1")
    t.check("cannot be erased without harm" in t.lines("quarantine.jsonl")["a.tif"], "pixels were erased")
