#!/usr/bin/python3
"""The seeds of the fuzz targets, into tests/fuzz/corpus.

Small valid files of every kind that nightshift reads, and those that were made to be hard: deep, wide, many, cut short. The
same every time, so that running it again changes nothing that is committed. What a campaign finds is put beside them as found-*
and is not made here, nor are heif/ and jxl/, which want encoders: tests/datasets/test_decode_more.c wrote those.
"""
import gzip, hashlib, io, json, os, pathlib, struct, subprocess, sys, tarfile, tempfile, zipfile, zlib
import h5py, numpy
import seeds_formats

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "jobs"))
import onnx_file

corpus = pathlib.Path(__file__).resolve().parent / "corpus"
cut = b"\n|cut|\n"  # FUZZ_CUT in fuzz.h


def put(target, name, data):
    path = corpus / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def text(x):
    return json.dumps(x, separators=(",", ":")).encode()


def sha(data):
    return hashlib.sha256(data).hexdigest()


# --- configuration ---
root = pathlib.Path(__file__).resolve().parents[2]
for f in ("night.yaml", "photographer.yaml"):
    put("yaml", f, (root / "datasets/demo" / f).read_bytes())
put("yaml", "types", "train: {epochs: 3, lr: 1e-3, precision: bf16}\ninfer.batch: 7\nseed: 0x1\nout: 2024\ndrift: {self_test: false}\n? [a]\n: b\n")
put("yaml", "alias", "a: &a [1, 2]\nb: *a\nc: &c {d: *a}\nmodel: {blocks: *a}\n")
put("yaml", "deep", "[" * 2000)
put("yaml", "deeper", "- " * 1500 + "a")
put("yaml", "keys", "{" * 700 + "a: b")
put("yaml", "text", "a: |\n  x\n   y\nb: >-\n  z\nc: \"\\u263a\\x41\"\nd: '''q'''\n--- \n...\n")
put("yaml", "augment", "augment:\n- crop: {padding: 4}\n- rotate: [-25, 25]\n- flip: 0.5\n- brightness: {range: [0.6, 1.4], p: 0.8}\n- cutout: 0.2\n")

# --- tensors and models ---


def tensors(named, metadata=None):
    head, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (shape, values) in named.items():
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    t = text(head)
    t += b" " * (-len(t) % 8)
    return struct.pack("<Q", len(t)) + t + data


f32 = lambda n: numpy.arange(n, dtype="<f4").tobytes()
arch = {"family": "resnet", "block": "basic", "blocks": [1], "width": 2, "stem": "small", "input": [8, 8, 1], "classes": 2}
parts = {"conv1.weight": [2, 1, 3, 3], "layer1.0.conv1.weight": [2, 2, 3, 3], "layer1.0.conv2.weight": [2, 2, 3, 3], "fc.weight": [2, 2], "fc.bias": [2]}
for norm in ("bn1", "layer1.0.bn1", "layer1.0.bn2"):
    for p in ("weight", "bias", "running_mean", "running_var"):
        parts[f"{norm}.{p}"] = [2]
weights = tensors({k: (s, f32(int(numpy.prod(s)))) for k, s in parts.items()})
model = {"schema": "nightshift.model/1", "architecture": arch, "weights": sha(weights), "classes": ["a", "b"],
         "preprocess": {"mean": [0.5], "std": [0.25]}, "temperature": 1.5, "precision": "f32", "parents": ["x"]}
put("safetensors", "model", weights)
checkpoint = tensors({"weights": ([6], f32(6)), "momentum": ([6], f32(6))}, {"format": "pt"})
put("safetensors", "checkpoint", checkpoint)
put("safetensors", "deep", struct.pack("<Q", 3000) + b"[" * 3000)
put("safetensors", "claims", struct.pack("<Q", 2**63) + b"{}")
put("model", "small", text(model))
put("model", "bottleneck", text({**model, "architecture": {**arch, "block": "bottleneck", "stem": "imagenet", "blocks": [2, 2], "input": [32, 32, 3]}}))
put("model", "large", text({**model, "architecture": {**arch, "width": 4096, "blocks": [100] * 4}}))
record = lambda data, step: {"schema": "nightshift.checkpoint/1", "step": step, "sha256": sha(data), "precision": "f32", "config": "", "loss": 1.5,
                             "hits": 3.0, "metrics": [{"loss": 1}]}
put("checkpoint", "newest", cut.join([text(record(checkpoint, 2)), text(record(checkpoint, 1)), checkpoint]))
put("checkpoint", "before", cut.join([text({**record(checkpoint, 2), "sha256": "0"}), text(record(checkpoint, 1)), checkpoint]))

# --- images ---


def png(w, h, kind, bits, rows, chunks=(), interlaced=0):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, interlaced))
    for name, data in chunks:
        out += chunk(name, data)
    return out + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


row = bytes(range(12))
put("png", "grey.png", png(4, 4, 0, 8, b"".join(b"\0" + row[:4] for _ in range(4))))
put("png", "rgb.png", png(4, 4, 2, 8, b"".join(b"\1" + row for _ in range(4))))
put("png", "rgba.png", png(4, 4, 6, 8, b"".join(b"\0" + bytes((9, 8, 7, 64 * i)) * 4 for i in range(4))))
put("png", "grey16.png", png(2, 2, 0, 16, (b"\0" + row[:4]) * 2))
put("png", "grey_alpha.png", png(2, 2, 4, 8, (b"\2\7\0\7\x80") * 2))
put("png", "palette.png", png(8, 2, 3, 1, b"\0\xaa\0\x55", [(b"PLTE", row[:6]), (b"tRNS", b"\0\x80")]))
put("png", "gamma.png", png(2, 2, 2, 8, (b"\0" + row[:6]) * 2, [(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]))]))
put("png", "claims.png", png(3000, 3000, 2, 8, b"\0"))


def segment(marker, data):
    return bytes((0xff, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg_header(w, h, components, progressive=False):
    quant = segment(0xdb, b"\0" + b"\1" * 64)
    frame = struct.pack(">BHHB", 8, h, w, components) + b"".join(bytes((i + 1, 0x11, 0)) for i in range(components))
    codes = b"".join(segment(0xc4, bytes((c,)) + b"\0" * 7 + b"\x02" + b"\0" * 8 + b"\x00\x01") for c in (0, 0x10))
    return b"\xff\xd8" + quant + segment(0xc2 if progressive else 0xc0, frame) + codes


def scan(components, first, last, high, low, data=b"\0\0"):
    return segment(0xda, bytes((components,)) + b"".join(bytes((i + 1, 0)) for i in range(components)) + bytes((first, last, high << 4 | low))) + data


put("jpeg", "grey.jpg", jpeg_header(16, 16, 1) + scan(1, 0, 63, 0, 0, b"\0" * 8) + b"\xff\xd9")
put("jpeg", "rgb.jpg", jpeg_header(8, 8, 3) + scan(3, 0, 63, 0, 0, b"\0" * 8) + b"\xff\xd9")
put("jpeg", "cmyk.jpg", jpeg_header(8, 8, 4) + scan(4, 0, 63, 0, 0, b"\0" * 8) + b"\xff\xd9")
put("jpeg", "claims.jpg", jpeg_header(3000, 3000, 3) + scan(3, 0, 63, 0, 0) + b"\xff\xd9")
put("jpeg", "scans.jpg", jpeg_header(512, 512, 1, True) + scan(1, 0, 0, 0, 1) + scan(1, 1, 5, 0, 2) * 150 + b"\xff\xd9")

whole = jpeg_header(16, 16, 1) + scan(1, 0, 63, 0, 0, b"\0" * 8) + b"\xff\xd9"
restarts = b"".join(b"\0\0\xff" + bytes((0xd0 + i,)) for i in range(7)) + b"\0\0"
put("jpeg", "restarts.jpg", jpeg_header(32, 16, 1) + segment(0xdd, b"\0\1") + scan(1, 0, 63, 0, 0, restarts) + b"\xff\xd9")
put("jpeg", "sampled.jpg", jpeg_header(20, 12, 3).replace(b"\1\x11\0\2", b"\1\x22\0\2") + scan(3, 0, 63, 0, 0, b"\0" * 24) + b"\xff\xd9")
put("jpeg", "inks.jpg", jpeg_header(8, 8, 4)[:2] + segment(0xee, b"Adobe\0\x64\0\0\0\0\2") + jpeg_header(8, 8, 4)[2:] + scan(4, 0, 63, 0, 0, b"\0" * 8) + b"\xff\xd9")
others = b"".join(segment(0xda, bytes((1, i, 0, 1, 63, 0))) + b"\0\0" for i in (1, 2, 3))
put("jpeg", "steps.jpg", jpeg_header(16, 8, 3, True) + scan(3, 0, 0, 0, 1, b"\0" * 6) + scan(3, 0, 0, 1, 0, b"\0") + others + b"\xff\xd9")
put("jpeg", "bits12.jpg", whole.replace(b"\xff\xc0\0\x0b\x08", b"\xff\xc1\0\x0b\x0c"))
put("jpeg", "arithmetic.jpg", whole.replace(b"\xff\xc0", b"\xff\xc9"))
put("png", "interlaced.png", png(9, 9, 2, 8, b"\0" * 400, interlaced=1))
put("png", "grey_clear.png", png(4, 2, 0, 2, b"\0\xe4\0\x1b", [(b"tRNS", b"\0\2")]))
put("png", "rgba16.png", png(2, 2, 6, 16, (b"\0" + bytes(range(16))) * 2))
for kind, seeds in {"bmp": seeds_formats.bmp_seeds(), "pnm": seeds_formats.pnm_seeds(), "gif": seeds_formats.gif_seeds(), "tiff": seeds_formats.tiff_seeds(whole),
                    "exif": seeds_formats.exif_seeds(), "webp": seeds_formats.webp_seeds((corpus / "webp/lossy.webp").read_bytes()),
                    "zip": seeds_formats.zip_seeds(), "folder": seeds_formats.folder_seeds(), "webdataset": seeds_formats.webdataset_seeds()}.items():
    for name, data in seeds.items():
        put(kind, name, data)

# --- what is said of objects ---
put("objects", "yolo.txt", b"0 .5 .5 .2 .25\n1 .5 .5 1 1 .9\n2 0 0 1 0 1 1\n")
put("objects", "data.yaml", b"nc: 2\nnames:\n  0: dog\n  1: cat\n")
put("objects", "voc.xml", b"<?xml version='1.0'?><annotation><filename>a.jpg</filename><object><name>dog</name><bndbox><xmin>2</xmin><ymin>1</ymin>"
    b"<xmax>4</xmax><ymax>3</ymax></bndbox><part><name>head</name></part></object></annotation>")
put("objects", "coco.json", b'{"info": {"a": [1, "]"]}, "images": [{"id": 1, "file_name": "a.png"}, {"id": "2", "file_name": "b.png"}], "annotations": '
    b'[{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 1, 1]}, {"image_id": 2, "caption": "x"}], "categories": [{"id": 3, "name": "dog"}]}')

# --- sources ---
idx = lambda n, h, w: struct.pack(">4B3I", 0, 0, 8, 3, n, h, w) + bytes(i & 255 for i in range(n * h * w))
labels = lambda n: struct.pack(">4BI", 0, 0, 8, 1, n) + bytes(i % 3 for i in range(n))
pack = lambda data: gzip.compress(data, 9, mtime=0)
put("idx", "plain", idx(6, 4, 3) + cut + labels(6))
put("idx", "packed", pack(idx(6, 4, 3)) + cut + pack(labels(6)))
put("idx", "one_packed", idx(3, 2, 2) + cut + pack(labels(3)))
put("idx", "two_members", pack(idx(4, 2, 2)[:20]) + pack(idx(4, 2, 2)[20:]) + cut + labels(4))
put("idx", "alone", idx(2, 1, 1))
put("idx", "claims", struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 8192, 8192) + cut + labels(3))


def tar(files, form=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as t:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    data = out.getvalue().rstrip(b"\0")  # filled up to 10 KiB
    return data + b"\0" * (-len(data) % 512 + 1024)


files = [("a/1.png", b"\x89PNG"), ("b/2.jpg", b"\xff\xd8\xff"), ("./c/3.png", b"x" * 600), (".hidden", b""), ("d", b"no class")]
put("tar", "ustar.tar", tar(files))
put("tar", "pax.tar", tar([("k" * 150 + "/1.png", b"y"), ("\u00e9/2.png", b"z")], tarfile.PAX_FORMAT))
put("tar", "gnu.tar", tar([("k" * 150 + "/1.png", b"y")], tarfile.GNU_FORMAT))
put("tar", "packed.tar.gz", pack(tar(files)))
put("tar", "many.tar.gz", pack(tar([(f"{i}/x", b"") for i in range(300)])))
try:
    import compression.zstd as zstd
    put("tar", "packed.tar.zst", zstd.compress(tar(files)))
except ImportError:  # Python before 3.14: one stored block, as RFC 8878 has it
    t = tar(files)
    put("tar", "packed.tar.zst", b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(t)) + struct.pack("<I", len(t) << 3 | 1)[:3] + t)
put("tar", "packed.tar.lz4", seeds_formats.tar_lz4(tar(files[:2])))
put("tar", "webdataset.tar", tar([("1.png", b"x"), ("1.cls", b"a\n"), ("2.png", b"y"), ("2.cls", b"1")]))
put("list", "quoted.csv", b'path,label\r\n"a.png",a\r\n"b c.png","x ""y"", z"\r\n')
put("list", "label_first.tsv", b"label\tfile\na\ta.png\n7\tb c.png\n")
put("list", "kinds.jsonl", b'{"path": "a.png", "label": "a"}\n{"file_name": "b c.png", "category": 2}\n{"image": "x", "class": null}\n')
put("list", "plain", "a.png\ta\n/dev/null\tb\r\nmissing.png\n\t\n../x\t7\n.\tq\n")
put("list", "long", "x" * 5000 + "\t" + "y" * 600 + "\n")
put("list", "latin1", b"a.png\t\xe9\n")


def npy(shape, kind, extra=b"", version=1):
    head = b"{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)
    head += b" " * (-(len(head) + 11 + 2 * (version > 1)) % 64) + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(head)) + head + extra


put("npy", "f4", npy(b"(3, 2)", b"<f4", f32(6)))
put("npy", "f8", npy(b"(3, 2)", b"<f8", numpy.arange(6, dtype="<f8").tobytes(), 2))
put("npy", "none", npy(b"(0, 2)", b"<f4"))
put("npy", "claims", npy(b"(9223372036854775807, 1048576)", b"<f4", f32(2)))
put("npy", "vector", npy(b"(3,)", b"<f4", f32(3)))

# --- arrays of images ---


def npz(arrays, how=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in arrays.items():
            z.writestr(zipfile.ZipInfo(name + ".npy"), data, how)
    return out.getvalue()


u1 = lambda n: bytes(i * 7 & 255 for i in range(n))
of_texts = npy(b"(6,)", b"<U3", "".join(c.ljust(3, "\0") for c in ("cat", "k\u00e4s", "\U0001f431", "", "dog", "a")).encode("utf-32-le"))
of_numbers, of_images = npy(b"(6, 1)", b">i2", struct.pack(">6h", 0, 1, 2, -1, 1, 0)), npy(b"(6, 3, 4, 5)", b"|u1", u1(360))
put("arrays", "numbers", of_images + cut + of_numbers)
put("arrays", "texts", npy(b"(6, 4, 3)", b"|u1", u1(72), 2) + cut + of_texts)
put("arrays", "bytes", npy(b"(6, 2, 2, 1)", b"|u1", u1(24), 3) + cut + npy(b"(6,)", b"|S3", b"catdogbeecatdogbee"))
put("arrays", "records", npy(b"(6, 2, 2, 1)", b"|u1", u1(24)) + cut + npy(b"(6,)", b"|u1", u1(6)).replace(b"'|u1'", b"[('a', '<i4', (2,))]"))
put("arrays", "claims", npy(b"(99999999999, 16384, 16384, 3)", b"|u1", u1(24)))
put("arrays", "object", npy(b"(3,)", b"|O", b"\x80\x04]."))
splits = {"y_test": of_numbers, "x_train": of_images, "y_train": of_numbers, "x_test": of_images}
put("arrays", "stored.npz", npz(splits))
put("arrays", "packed.npz", npz(splits, zipfile.ZIP_DEFLATED))
put("arrays", "only.npz", npz({"pictures": of_images, "labels": of_texts, "weights": npy(b"(3,)", b"<f4", f32(3))}))
put("arrays", "claims.npz", npz({"images": npy(b"(9999999999, 16384, 16384, 3)", b"|u1", u1(24)), "labels": npy(b"(9999999999,)", b"|u1", u1(24))}))

# --- HDF5 ---
plain = h5py.string_dtype()


def h5(columns, attributes, on_set={}, **how):
    with tempfile.TemporaryDirectory() as dir:
        path = os.path.join(dir, "x.h5")
        with h5py.File(path, "w", libver="earliest") as f:
            for name, x in columns.items():
                f.create_dataset(name, data=x, track_times=False, **how)
            for name, x in attributes.items():
                f.attrs.create(name, x, dtype=plain if isinstance(x, (str, list)) else None)
            for name, (key, x) in on_set.items():
                f[name].attrs.create(key, x, dtype=plain)
        return pathlib.Path(path).read_bytes()


rows = lambda n, k: {"label": numpy.arange(n, dtype="i4") % k, "id": numpy.arange(n, dtype="u8"), "time": numpy.zeros(n, "i8"), "group": numpy.zeros(n, "i4")}
head = {"schema": "nightshift.shard/1", "encoding": "raw", "dataset": "d", "classes": ["a", "b"], "groups": ["g"]}
raw = h5({"image": numpy.arange(3 * 4 * 4, dtype="u1").reshape(3, 4, 4, 1), **rows(3, 2)}, head)
put("h5_shard", "raw", raw)
put("h5_shard", "chunked", h5({"image": numpy.zeros((3, 4, 4, 1), "u1"), **rows(3, 2)}, head, chunks=True, compression=9, shuffle=True))
few = {k: v for k, v in head.items() if k not in ("classes", "groups")}
fixed = {"class_names": numpy.array([b"a", b"bc"], "S2"), "group_names": numpy.array([b"g", b"h"], "S1")}
put("h5_shard", "names", h5({"image": numpy.zeros((3, 4, 4, 1), "u1"), **rows(3, 2), **fixed}, few))
put("h5_shard", "names_packed", h5({"image": numpy.zeros((3, 4, 4, 1), "u1"), **rows(3, 2), **fixed}, few, chunks=True, compression=9))
put("h5_shard", "names_any_length", h5({"image": numpy.zeros((3, 4, 4, 1), "u1"), **rows(3, 2), "class_names": numpy.array(["a", "bc"], h5py.string_dtype())}, few))
put("h5_shard", "encoded", h5({"image_bytes": numpy.arange(9, dtype="u1"), "image_offset": numpy.array([0, 4, 9], "u8"), "source": numpy.arange(5, dtype="u1"),
                               "source_offset": numpy.array([0, 2, 5], "u8"), **rows(2, 2)}, {**head, "encoding": "png"}))
some = {"id": numpy.arange(4, dtype="u8"), "label": numpy.array([0, 1, -1, 0], "i4"), "pred": numpy.array([0, 1, 1, 0], "i4"),
        "prob": numpy.full((4, 2), 0.5, "f4"), "stats": numpy.ones((4, 2), "f4"), "embedding": numpy.ones((4, 3), "f4")}
small = h5(some, {"schema": "nightshift.predictions/1", "model": "m", "dataset": "d", "temperature": 1.5, "classes": ["a", "b"]},
           {"stats": ("stats_names", ["x", "y"])})
put("h5_predictions", "small", small)
put("h5_predictions", "names", h5({**some, **fixed}, {"schema": "nightshift.predictions/1", "model": "m", "dataset": "d"}))
put("h5_predictions", "chunked", h5({"embedding": numpy.ones((40, 3), "f8")}, {}, chunks=(7, 2), compression=9, fletcher32=True))
put("h5_predictions", "many_temperatures", h5({"id": numpy.arange(2, dtype="u8")}, {"temperature": numpy.ones(64)}))
pictures = numpy.arange(6 * 4 * 5 * 3, dtype="u1").reshape(6, 4, 5, 3)
put("h5_arrays", "root", h5({"images": pictures, "labels": numpy.array([0, 1, 2, -1, 1, 0], ">i2"), "list_classes": numpy.array([b"a", b"b"])}, {}))
put("h5_arrays", "groups", h5({"train/x": pictures, "train/y": numpy.arange(6), "test/x": pictures[:2], "test/y": numpy.arange(2)}, {}))
put("h5_arrays", "texts", h5({"x": pictures[..., 0], "y": numpy.array(["cat", "k\u00e4se", "", "dog", "a", "b"], dtype=plain)}, {}))
put("h5_arrays", "chunked", h5({"x": pictures, "y": numpy.array([b"cat", b"dog"] * 3)}, {}, chunks=True, compression=9, fletcher32=True))
chosen = h5({"set": numpy.array([0, 1], "u4"), "row": numpy.array([0, 1], "u8"), "id": numpy.array([0, 1], "u8"), "label": numpy.array([0, -1], "i4"),
             "source": numpy.array([0, 1], "u1"), "repeat": numpy.array([1, 2], "u4")}, {"schema": "nightshift.selection/1"})
put("h5_selection", "small", chosen)

# --- what lies beside them ---
shards = [{"file": "shard-00000.h5", "rows": 3, "sha256": sha(raw)}]
put("dataset", "small", text({"schema": "nightshift.dataset/1", "name": "d", "digest": "0" * 64, "shards": shards}))
put("dataset", "odd", text({"schema": "nightshift.dataset/1", "name": 3, "digest": [], "shards": [{}, {"file": "../x", "rows": 1e300}]}))
one = lambda data, file, **more: {"path": file, "digest": sha(data), "night": "n", **more}
put("sets", "small", text({"schema": "nightshift.sets/1", "sets": [one(raw, "raw.h5", rows=[0, 2], labels=[1, -1]), one(raw, "raw.h5")], "classes": ["b", "a"]}))
put("sets", "whole", text({"schema": "nightshift.sets/1", "sets": [one(raw, "raw.h5")]}))
put("sets", "odd", text({"schema": "nightshift.sets/1", "sets": [one(raw, "../raw.h5", rows=[1e300], labels={}), {}, 3], "classes": [1, []]}))
listed = [{"file": "predictions-00000.h5", "rows": 4, "sha256": sha(small)}]
put("predictions", "small", text({"schema": "nightshift.predictions/1", "digest": "0" * 64, "files": listed}))
put("predictions", "twice", text({"schema": "nightshift.predictions/1", "digest": "1", "files": listed * 2}))
part = lambda verb, i, n, index, files: text({"schema": "nightshift.part/1", "verb": verb, "part": i, "parts": n, "of": "x", "index": index, "files": files})
run = text({"schema": "nightshift.run/1", "counts": {"in": 3, "refused": 1}})
sets = {"sets": [{"folder": "data", "name": "d", "shards": 1, "made": {}}]}
data_files = [{"file": "data/shard-00000.h5", "sha256": sha(raw)}]
quarantine = b'{"item":7,"why":"x"}\n{"item":3}\n'
put("part", "ingest", cut.join([part("ingest", 0, 1, sets, data_files), run, quarantine]))
put("part", "ingest2", cut.join([part("ingest", 0, 2, sets, data_files), run, quarantine, part("ingest", 1, 2, sets, []), run, b""]))
put("part", "infer", cut.join([part("infer", 0, 1, {"files": 1, "model": "m", "dataset": "d"}, listed), run]))

# --- records ---
step = {"schema": "nightshift.step/1", "step": "a", "task": -1, "state": "done", "why": "", "try_again": False, "starts": 1, "first_start": 1.7e9,
        "start": 1.7e9, "end": 1.7e9 + 60, "where": {"host": "n", "SLURM_RESTART_COUNT": "2"}, "seconds": 3.5, "counts": {"rows": 7}, "peak_memory_bytes": 1e6}
plan = {"schema": "nightshift.plan/1", "steps": [{"step": "a", "stage": "train", "tasks": 0, "after": []}, {"step": "b", "stage": "infer", "tasks": 1, "after": ["a"]}]}
summary = {"nights": ["q"], "promoted": True, "q_status": "harmful", "seconds": 9, "old_accuracy_before": 0.9, "old_accuracy_after": 0.8, "q_accuracy_before": 0.4,
           "q_accuracy_after": 0.7, "unfinished": [{"step": "b", "state": "failed", "why": "w"}]}
drift = {"tests": [{"column": "c", "kind": "input", "detector": "ks", "slice": "all", "status": "material", "effect": 0.5, "p_adjusted": 0.01}]}
gate = {"passed": True, "rules": [{"rule": "r", "held": True, "measured": {"rows": 3, "better": 2, "worse": 1, "change": 0.1, "low": 0, "high": 1, "p": 0.5}}]}
evaluation = {"confusion": [[1, 2], [3, 4]], "classes": ["a", "b"]}
metrics = b'{"loss": 1, "accuracy": 0.5}\n{"loss": 0.5, "accuracy": 0.6, "val_accuracy": 0.7}\n'
tsv = b"17\ta\t1699999990\n18\tb\t1699999991\n"
put("night", "whole", cut.join([text(plan), text(step), text({**step, "step": "b", "task": 0, "state": "failed", "start": 1.7e9 + 70, "end": None}), tsv, text(summary),
                                text(drift), text(gate), text(evaluation), text({"counts": {"selected": 3}}), metrics, text({"weights": "w", "parents": ["p"]})]))
put("night", "young", cut.join([text(plan), text(step), b"", tsv]))
ref = lambda old, new: text({"schema": "nightshift.ref/1", "ref": "production", "time": 1, "old": old, "new": new, "who": "w", "why": "y", "evidence": ""})
a, b = "ab" + "0" * 62, "cd" + "1" * 62
put("registry", "log", cut.join([ref("", a), ref(a, b), ref(b, a), a.encode() + b"\n", text(model)]))
put("registry", "one", cut.join([ref("", a), b"", b"", a.encode() + b"\n", b"x"]))
line = {"schema": "nightshift.history/1", "time": 1699000000, "window": 1, "rejected_before": 0, "rejected": True, "reference": "dd", "current": "ee",
        "status": "harmful", "evidence": 3.5, "level": 0.01, "alarm": True, "emitted": True, "effect": 0.5}
put("history", "three", cut.join([text(line), text({**line, "window": 2, "time": 1699500000}), text({**line, "window": 3, "current": "cc"})]))
old = {"path": "old", "digest": "0" * 64}
rule = None
for source in (root / "jobs/curate/select.c").read_text().split('char rule[] = "')[1:]:
    rule = "".join(source.split('";')[0].replace('"\n', "").replace("\t", "").replace('"', "").splitlines())
manifest = {"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "nightshift.retrain/1", "predicate": {
    "data": {"selection": "selection.h5", "sha256": sha(chosen), "datasets": [old, {**old, "digest": "of no file"}], "classes": ["a", "b"],
             "query": {"seed": 1, "replay": 2, "audited_repeat": 3, "rule": rule}},
    "labels": {"audited": 1}, "base": {"model": "model"}, "budget": {"expires": 1e11}, "promote": {"ref": "production"}, "rollback": {"to": ""},
    "config": {"seed": 1, "epochs": [1, 1], "lr": 0.1, "confidence": 0.9}}}
put("retrain", "small", text(manifest))
total = sum(f.stat().st_size for f in corpus.rglob("*") if f.is_file())
print(f"seeds: {sum(1 for f in corpus.rglob('*') if f.is_file())} files, {total} bytes in {corpus}")

# --- ONNX ---
onnx = lambda name, message: put("onnx", name, onnx_file.encode(message))
conv = onnx_file.node("Conv", ["x", "w"], ["h"], "first", [[(1, "strides"), (8, 2), (8, 2), (20, 7)], [(1, "pads"), (8, b"\1\1\1\1"), (20, 7)]])
whole = onnx_file.small()
onnx("small", whole)
onnx("external", onnx_file.small([onnx_file.tensor("w", [1, 1, 1, 1], more=[(13, [(1, "location"), (2, "weights.bin")]), (13, [(1, "offset"), (2, "4")]),
                                                                          (13, [(1, "length"), (2, "4")]), (14, 1)])]))
onnx("nested", onnx_file.small(nodes=[onnx_file.node("If", ["x"], ["y"], "", [[(1, "then_branch"), (6, onnx_file.graph([conv], [], [])), (20, 5)]])]))
onnx("listed", onnx_file.small([onnx_file.tensor("w", [2], more=[(4, struct.pack("<2f", 1, 2))]), onnx_file.tensor("i", [2], 7, more=[(7, 1), (7, 2)]),
                                onnx_file.tensor("h", [1], 10, more=[(5, b"\x80\x78")])]))
put("onnx", "cut", onnx_file.encode(whole)[:-20])
put("onnx", "claims", b"\x08\x08\x3a\xff\xff\xff\xff\x7f")
put("onnx", "deep", b"\x08\x08\x3a\x04" * 500)
