"""What files say of the objects in images, COCO's, YOLO's and Pascal VOC's, the same for folders, tars and zips: for paths.py, whose functions it is given."""
import json
import pathlib

import h5py

BOX = ('<annotation><folder>x</folder><filename>x.jpg</filename><size><width>4</width><height>4</height></size>{}</annotation>')
DOG = ('<object><name>dog</name><difficult>1</difficult><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>4</xmax><ymax>3</ymax></bndbox>'
       '<part><name>head</name><bndbox><xmin>1.5</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>')
CAT = "<object><name>cat &amp; dog</name><pose>Left</pose><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax><ymax>1</ymax></bndbox></object>"
LAUGHS = '<!DOCTYPE a [<!ENTITY l "ha">]><annotation><object><name>&l;</name></object></annotation>'


def coco(images, annotations, categories=((1, "dog"), (7, "cat"))):
    return json.dumps({"info": {"images": [1, "}]"]}, "annotations": annotations, "images": images,
                       "categories": [{"id": i, "name": n, "supercategory": "animal"} for i, n in categories]}).encode()


def once(pairs):
    """an object of JSON, in which no member stands twice"""
    assert len(dict(pairs)) == len(pairs), f"a member stands twice: {pairs}"
    return dict(pairs)


def told(folder):
    """{source: annotation}, of all shards"""
    found = {}
    for shard in json.loads(pathlib.Path(folder, "dataset.json").read_text(encoding="utf-8"))["shards"]:
        with h5py.File(f"{folder}/{shard['file']}") as f:
            source, at = f["source"][()].tobytes(), f["source_offset"][:]
            text, begin = (f["annotation"][()].tobytes(), f["annotation_offset"][:]) if "annotation" in f else (b"", [0] * len(at))
            for i in range(len(at) - 1):
                name = source[int(at[i]):int(at[i + 1])].decode()
                found[name] = json.loads(text[int(begin[i]):int(begin[i + 1])] or b"null", object_pairs_hook=once)
                assert f["label"][i] == -1, f"{name} has a class"
    return found


def boxes(binary, t):
    def see(files, want, said=(), splits=("",), without=()):
        """files: {path: bytes}; want: {path: annotation}, of all splits"""
        for source in t.sources(files):
            words = t.ingest(binary, source)
            found = {}
            for split in splits:
                found |= {t.bare(k): v for k, v in told(f"out/{split}").items()}
            t.check(found == want, f"{source}: {found}, wanted {want}")
            for text in said:
                t.check(text in words, f"{source}: '{text}' is not in {words}")
            for text in without:
                t.check(text not in words, f"{source}: '{text}' is in {words}")

    # COCO: two splits whose files have the same names, two documents of one image, captions, an image of no object, and one that is not there
    dog = {"id": 11, "image_id": 5, "category_id": 1, "bbox": [1, 2, 3.5, 1], "iscrowd": 0}
    files = {f"{split}2017/{i}.png": t.png(i + 10 * k) for k, split in enumerate(("train", "val")) for i in range(3)}
    files |= {"annotations/instances_train2017.json": coco(
        [{"id": 5, "file_name": "0.png", "width": 4, "weather": "rain"}, {"id": "6", "file_name": "1.png"}, {"id": 8, "file_name": "gone.png"}],
        [dog, {"id": 12, "image_id": 5, "category_id": 7, "category": "not this", "bbox": [0, 0, 1, 1]}, {"id": 13, "image_id": 99, "category_id": 7, "bbox": [0, 0, 1, 1]}]),
              "annotations/keypoints_train2017.json": coco([{"id": 5, "file_name": "0.png"}], [dog | {"keypoints": [1, 1, 2]}]),
              "annotations/instances_val2017.json": coco([{"id": 5, "file_name": "0.png"}, {"id": 6, "file_name": "2.png"}], []),
              "annotations/captions_val2017.json": coco([{"id": 5, "file_name": "0.png"}, {"id": 7, "file_name": "1.png"}],
                                                         [{"id": 1, "image_id": 5, "caption": "a \"dog\""}, {"id": 2, "image_id": 7, "caption": ""}])}
    has = {k: v for k, v in dog.items() if k != "image_id"} | {"category": "dog", "keypoints": [1, 1, 2]}
    see(files, {"train2017/0.png": {"width": 4, "weather": "rain", "objects": [has, {"id": 12, "category_id": 7, "category": "cat", "bbox": [0, 0, 1, 1]}]},
                "train2017/1.png": {"objects": []}, "train2017/2.png": None,
                "val2017/0.png": {"objects": [], "captions": [{"id": 1, "caption": "a \"dog\""}]}, "val2017/1.png": {"captions": [{"id": 2, "caption": ""}]}, "val2017/2.png": {"objects": []}},
        ('"splits":["train2017","val2017"]', "lists 3 images, of which 1 are not there, or may be several (the first: gone.png)", "4 images come with objects"),
        ("train2017", "val2017"))
    t.check(t.lines("passed.jsonl")["annotations/instances_train2017.json"] == "says what is in images", "a document is passed over without its reason")
    # beside its images, in each split, as Roboflow has them; names that stand in both splits are each its own document's
    files = {f"{split}/{name}": data for split, n in (("train", 1), ("valid", 2)) for name, data in
             (("a.png", t.png(n)), ("b.png", t.png(n + 2)), ("_annotations.coco.json", coco([{"id": 0, "file_name": "a.png", "n": n}, {"id": 1, "file_name": "b.png"}], [])))}
    see(files, {f"{split}/a.png": {"n": n, "objects": []} for split, n in (("train", 1), ("valid", 2))} | {f"{split}/b.png": {"objects": []} for split in ("train", "valid")},
        ('"splits":["train","valid"]',), ("train", "valid"), ("are not there",))
    # the one that is a source itself
    for name in ("a.png", "b.png"):
        pathlib.Path("coco").mkdir(exist_ok=True)
        pathlib.Path("coco", name).write_bytes(t.png(1))
    pathlib.Path("coco/all.json").write_bytes(coco([{"id": 0, "file_name": "a.png"}, {"id": 1, "file_name": "c.png"}], [dog | {"image_id": 0}]))
    t.ingest(binary, "coco/all.json", "--ingest.refuse_share=1")
    t.check(list(told("out")) == ["a.png"] and told("out")["a.png"]["objects"][0]["category"] == "dog", f"a document: {told('out')}")
    t.check("c.png" in t.lines("quarantine.jsonl"), "what a document lists and is not there is not in quarantine")
    pathlib.Path("coco/elsewhere.json").write_bytes(coco([{"id": 0, "file_name": "z.png"}], []))
    t.check("ingest the folder that holds both" in t.ingest(binary, "coco/elsewhere.json", wanted=65), "images that are elsewhere")
    whole = pathlib.Path("coco/all.json").read_bytes()
    for n, wanted in ((len(whole) - 2, 65), (len(whole) - 20, 65), (whole.index(b"annotations") + 40, 0)): # by then it says what it is, or not yet
        pathlib.Path("coco/all.json").write_bytes(whole[:n])
        t.check("all.json" in t.ingest(binary, "coco", wanted=wanted), f"cut at {n}: nothing is said of it")
    pathlib.Path("coco/all.json").unlink()
    # a list of objects
    pathlib.Path("coco/list.json").write_text('[{"path": "a.png", "label": "x", "k": 1}, {"image": "b.png", "label": "y"}]', encoding="utf-8")
    t.ingest(binary, "coco/list.json")
    t.check(t.rows("out") == ({"a.png": "x", "b.png": "y"}, ["x", "y"]), f"a list in JSON: {t.rows('out')}")
    pathlib.Path("coco/list.json").write_text('[{"path": "a.png"}, {"label": "y"}]', encoding="utf-8")
    t.check("entry 1 names no file" in t.ingest(binary, "coco/list.json", wanted=65), "an entry without a file")

    # YOLO: images beside labels, with splits below them, above them, and none; names by a list, a map, lines
    one = b"1 0.5 0.5 0.5 0.25\n\n0 .25 .25 .5 .5 .9\r\n2 0 0 1 0 1 1 0 1\n"
    objects = [{"category_id": 1, "category": "cat", "bbox_normalized": [.25, .375, .5, .25]}, {"category_id": 0, "category": "dog", "bbox_normalized": [0, 0, .5, .5], "confidence": .9},
               {"category_id": 2, "category": "owl", "polygon_normalized": [0, 0, 1, 0, 1, 1, 0, 1]}]
    for layout, splits in (("images/train/{}.png labels/train/{}.txt images/val/{}.png labels/val/{}.txt", ("train", "val")), ("train/images/{}.png train/labels/{}.txt", ("",)),
                           ("train/images/{}.png train/labels/{}.txt test/images/{}.png test/labels/{}.txt", ("train", "test")), ("obj/{}.png obj/{}.txt", ("",)),
                           ("images/{}.png labels/{}.txt", ("",))):
        for name, text in (("data.yaml", b"names: [dog, cat, owl]\n"), ("data.yaml", b"nc: 3\nnames:\n  0: dog\n  2: owl\n  1: cat\n"), ("classes.txt", b"dog\ncat\r\nowl\n")):
            files, want = {name: text}, {}
            for k, place in enumerate(layout.split()):
                if place.endswith("png"):
                    files |= {place.format(i): t.png(7 * k + i) for i in range(4)}
                    want |= {place.format(0): {"objects": objects}, place.format(1): {"objects": []}, place.format(2): {"objects": [objects[1]]}, place.format(3): None}
                else:
                    files |= {place.format(0): one, place.format(1): b"", place.format(2): one.splitlines()[2], place.format(3): b"a caption, and no boxes"}
            see(files, want, ("come with objects", '"splits":["train"]' if layout.startswith("train/images/{}.png train/labels/{}.txt") and splits == ("",) else ""), splits)
    files["labels/3.txt"] = b"0 0.5 0.5 1.5 0.5\n" # no share
    see(files, want, ("labels/3.txt cannot be read, so that it says nothing of images",), ("",))
    # images of classes stay what they are, where few have objects
    files = {f"{c}/{i}.png": t.png(i) for c in ("cat", "dog") for i in range(3)} | {"cat/0.txt": one}
    for source in t.sources(files):
        t.ingest(binary, source)
        t.check(t.rows("out")[1] == ["cat", "dog"], f"{source}: {t.rows('out')}")

    # Pascal VOC
    files = {f"VOC2007/JPEGImages/{i}.png": t.png(i) for i in range(4)} | {
        "VOC2007/Annotations/0.xml": BOX.format(DOG + CAT).encode(), "VOC2007/Annotations/1.xml": BOX.format("<segmented>0</segmented>").encode(),
        "VOC2007/Annotations/2.xml": LAUGHS.encode(), "VOC2007/Annotations/3.xml": BOX.format(CAT).encode()}
    size = {"size": {"width": 4, "height": 4}}
    cat = {"category": "cat & dog", "pose": "Left", "bbox": [0, 0, 1, 1]}
    see(files, {"VOC2007/JPEGImages/0.png": size | {"objects": [{"category": "dog", "difficult": 1, "bbox": [1, 0, 3, 3], "part": [{"category": "head", "bbox": [.5, 0, 1.5, 2]}]}, cat]},
                "VOC2007/JPEGImages/1.png": size | {"segmented": 0, "objects": []}, "VOC2007/JPEGImages/2.png": None, "VOC2007/JPEGImages/3.png": size | {"objects": [cat]}},
        ("3 images come with objects", "2.xml cannot be read, so that it says nothing of images"))
    twice(binary, t)
    doubts(binary, t, see)


def twice(binary, t):
    """of two entries of one name in a tar the last counts; what is hidden says nothing"""
    import io
    import tarfile
    with tarfile.open("twice.tar", "w") as tar:
        for name, data in (("a/0.png", t.png(0)), ("a/0.json", b'{"old": 1}'), ("a/0.json", b'{"new": 1}'), ("a/1.png", t.png(1)), ("a/1.xml", BOX.format(DOG).encode()),
                           ("a/1.xml", BOX.format(CAT).encode()), ("__MACOSX/a/._1.xml", b"\0\1"), ("__MACOSX/labels/._1.txt", b"\0\1")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    words = t.ingest(binary, "twice.tar", "--ingest.classes=[a]")
    t.check("cannot be read" not in words, f"what is hidden is damaged: {words}")
    with h5py.File("out/shard-00000.h5") as f:
        text = f["annotation"][()].tobytes()
    t.check(b'{"new":1}' in text and b"old" not in text and b"dog" not in text.replace(b"cat & dog", b""), f"replaced: {text}")


def doubts(binary, t, see):
    """each file is of its own image alone, and nothing is guessed from names that do not agree"""
    y = lambda n: b"%d .5 .5 .2 .2" % n
    box = lambda n, name=None: {"objects": [{"category_id": n, "bbox_normalized": [.4, .4, .2, .2]} | ({"category": name} if name else {})]}
    # names by folder, not by what lies elsewhere; lines that are blank, or not UTF-8, count
    see({"a/images/0.png": t.png(0), "a/labels/0.txt": y(1), "a/data.yaml": b"names: [cat, 7]", "b/images/1.png": t.png(1), "b/labels/1.txt": y(1), "b/labels/classes.txt":
         b"\xef\xbb\xbfcaf\xe9\n\nbus\n", "z/args.yaml": b"names: [x, y]", "c/2.png": t.png(2), "c/2.txt": y(2), "b/images/3.png": t.png(3), "b/labels/3.txt": y(0)},
        {"a/images/0.png": box(1, "7"), "b/images/1.png": box(1, None), "c/2.png": box(2), "b/images/3.png": box(0, "caf\\xE9")} |
        {"b/images/1.png": {"objects": [{"category_id": 1, "category": None, "bbox_normalized": [.4, .4, .2, .2]}]}})
    # one end is stripped of YOLO's; a folder called labels may hold images, which have their own
    see({"0.png": t.png(0), "0.txt": y(0), "0.1.png": t.png(1), "images/5.png": t.png(5), "images/5.txt": y(5), "labels/5.png": t.png(6), "labels/5.txt": y(6), "images/6.png": t.png(7), "labels/6.txt": y(7),
         "labels/6.png": t.png(8)},
        {"0.png": box(0), "0.1.png": None, "images/5.png": box(5), "labels/5.png": box(6), "images/6.png": box(7), "labels/6.png": box(7)})
    # documents of another split, of folders that are not there, of two people; a test set, which has no annotations
    row = lambda i, n: {"id": i, "image_id": i, "category_id": 1, "bbox": [n, n, 1, 1]}
    see({"train/0.png": t.png(0), "ann/train.json": coco([{"id": 0, "file_name": "0.png"}], [row(0, 1)]), "ann/val.json": coco([{"id": 0, "file_name": "0.png"}, {"id": 1, "file_name": "val/0.png"}], [row(0, 2)]),
         "ann/any.json": coco([{"id": 0, "file_name": "elsewhere/0.png"}], [row(0, 3)])},
        {"train/0.png": {"objects": [{"id": 0, "category_id": 1, "category": "dog", "bbox": [1, 1, 1, 1]}]}}, ("val.json lists 2 images, of which 2 are not there", "any.json lists 1 images"))
    see({"images/train/0.png": t.png(0), "images/val/0.png": t.png(1), "images_train.json": coco([{"id": 0, "file_name": "0.png"}], [row(0, 1)]),
         "images_val.json": coco([{"id": 0, "file_name": "D:\\\\x\\\\val\\\\0.png".replace("\\\\", "\\")}], [row(0, 2)])},
        {f"images/{split}/0.png": {"objects": [{"id": 0, "category_id": 1, "category": "dog", "bbox": [n, n, 1, 1]}]} for n, split in ((1, "train"), (2, "val"))}, ("come with objects",), ("train", "val"))
    see({"0.png": t.png(0), "alice.json": coco([{"id": 0, "file_name": "0.png"}], [row(0, 1)]), "bob.json": coco([{"id": 0, "file_name": "0.png", "x": .1}], [row(0, 2)])},
        {"0.png": {"x": .1, "objects": [{"id": 0, "category_id": 1, "category": "dog", "bbox": [n, n, 1, 1]} for n in (1, 2)]}})
    pathlib.Path("info").mkdir()
    pathlib.Path("info/0.png").write_bytes(t.png(0))
    pathlib.Path("info/info.json").write_text('{"images": [{"id": 0, "file_name": "0.png", "n": 1}]}', encoding="utf-8")
    t.ingest(binary, "info")
    t.check(told("out") == {"0.png": {"n": 1}}, f"a test set: {told('out')}")
    # key points, by their shape
    see({"0.png": t.png(0), "0.txt": y(0) + b" .1 .2 2 .3 .4 1", "data.yaml": b"names: {0: 5}\nkpt_shape: [2, 3]"},
        {"0.png": {"objects": [{"category_id": 0, "category": "5", "bbox_normalized": [.4, .4, .2, .2], "keypoints_normalized": [.1, .2, 2, .3, .4, 1]}]}})
    # a text beside an image that is none of YOLO's, among those that are
    see({"0.png": t.png(0), "0.TXT": y(0), "1.png": t.png(1), "1.txt": b"0 .5 .5 1.01 .2", "2.png": t.png(2), "2.txt": b""}, {"0.png": box(0), "1.png": None, "2.png": {"objects": []}},
        ("1.txt cannot be read",))
    # classes stay where files beside images list nothing, or where a webdataset says them
    for files in ({f"{c}/{i}.{e}": t.png(i) if e == "png" else b"" for c in ("cat", "dog") for i in range(2) for e in ("png", "txt")},
                  {f"{c}/{i}.{e}": t.png(i) if e == "png" else b'{"objects": ["ball"]}' for c in ("cat", "dog") for i in range(2) for e in ("png", "json")},
                  {f"{c}{i}.{e}": {"png": t.png(i), "cls": c.encode(), "xml": BOX.format(DOG).encode()}[e] for c in ("cat", "dog") for i in range(2) for e in ("png", "cls", "xml")}):
        for source in t.sources(files):
            t.ingest(binary, source)
            t.check(t.rows("out")[1] == ["cat", "dog"] and None not in t.rows("out")[0].values(), f"{source}: {t.rows('out')}")
