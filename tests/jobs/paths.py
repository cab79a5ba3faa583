"""What the paths of a source mean, the same for folders, tars and zips: for paths.sh. Everything that is seen is a row, in quarantine or passed
over, and the numbers add up.

usage: paths.py NIGHTSHIFT [part ...], in an empty folder
"""
import hashlib
import io
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import h5py

import paths_arrays
import paths_follow
import paths_objects
import paths_place
import tiny
from tiny import check

made = 0


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(value):
    """4 x 4 of one grey"""
    rows = b"".join(b"\0" + bytes([value % 256] * 4) for _ in range(4))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def content(name, i):
    return None if name.endswith("/") else b"words" if name.endswith((".txt", ".md", ".db", ".bin")) else png(i)


def sources(names, archives=True):
    """the same tree as a folder, and as archives with and without a folder around it; names that end in '/' are empty folders; or names with their bytes"""
    global made
    of = names.get if isinstance(names, dict) else content
    made += 1
    base = f"source{made}"
    for i, name in enumerate(names):
        path = pathlib.Path(base, "tree", name)
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(of(name, i))
    yield f"{base}/tree"
    if not archives:
        return
    for suffix, front in (("tar", ""), ("tar.gz", "./"), ("tar.xz", "around/"), ("zip", ""), ("zip", "photos of may/")):
        out = f"{base}/{front.replace('/', '-')}.{suffix}"
        if suffix == "zip":
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
                for i, name in enumerate(names):
                    z.writestr(front + name, of(name, i) or b"")
        else:
            with tarfile.open(out, "w:" + suffix[4:]) as t:
                for i, name in enumerate(names):
                    info = tarfile.TarInfo(front + name.rstrip("/"))
                    if name.endswith("/"):
                        info.type, info.mode = tarfile.DIRTYPE, 0o755
                    else:
                        info.size = len(of(name, i))
                    t.addfile(info, io.BytesIO(of(name, i) or b""))
        yield out


def ingest(binary, source, *options, wanted=0):
    shutil.rmtree("out", ignore_errors=True)
    run = subprocess.run([binary, "ingest", source, "--out", "out", *options], capture_output=True, text=True, check=False)
    if run.returncode != wanted:
        raise SystemExit(f"FAILED: {source} {options}: exit {run.returncode}: {run.stderr}")
    return run.stdout + run.stderr


def rows(folder):
    """{path below whatever is around: class or None} and the classes"""
    index = json.loads(pathlib.Path(folder, "dataset.json").read_text(encoding="utf-8"))
    found = {}
    for shard in index["shards"]:
        with h5py.File(f"{folder}/{shard['file']}") as f:
            source, at, label = f["source"][()].tobytes(), f["source_offset"][:], f["label"][:]
            for i in range(len(label)):
                name = os.fsdecode(source[int(at[i]):int(at[i + 1])])
                found[bare(name)] = index["classes"][label[i]] if label[i] >= 0 else None
    return found, index["classes"]


def bare(name):
    for front in ("./", "around/", "photos of may/"):
        name = name.removeprefix(front)
    return name


def lines_of(path):
    return {bare(json.loads(x)["path"]): json.loads(x)["reason"] for x in pathlib.Path(path).read_text(encoding="utf-8").splitlines()}


def lines(name):
    return lines_of(f"out/{name}")


def account(names, found, where):
    """each name is in one place"""
    refused, passed = lines("quarantine.jsonl"), lines("passed.jsonl")
    for name in names:
        name = name.rstrip("/")
        above = [str(p) for p in pathlib.Path(name).parents]
        places = [name in found, name in refused, name in passed or any(a in passed for a in above)]
        check(sum(places) == 1, f"{where}: {name} is in {sum(places)} of rows, quarantine, passed over")
    return refused, passed


def classes(binary):
    """the first level is the class, whatever lies deeper belongs to it; what is no image is no class; an empty folder keeps its index"""
    names = ["bird/1.png", "bird/part/2.png", "bird/part/deep/3.png", "cat/4.png", "dog/", "elk/5.png", "loose.png", "docs/readme.txt", "docs/more/notes.md",
             "cat/.hidden.png", ".cache/6.png", "__MACOSX/cat/7.png", "elk/Thumbs.db", "elk/list.txt", "elk/broken.png"]
    wanted = {"bird/1.png": "bird", "bird/part/2.png": "bird", "bird/part/deep/3.png": "bird", "cat/4.png": "cat", "elk/5.png": "elk", "loose.png": None}
    for source in sources(names):
        if source.endswith("tree"):
            pathlib.Path(source, "elk/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        else:
            wanted = {**wanted, "elk/broken.png": "elk"}  # whole in the archives
        said = ingest(binary, source)
        found, names_of = rows("out")
        check(found == wanted, f"{source}: rows {found}, wanted {wanted}")
        check(names_of == ["bird", "cat", "dog", "elk"], f"{source}: classes {names_of}")
        refused, passed = account(names, found, source)
        check(set(refused) == set() if "elk/broken.png" in wanted else {"elk/broken.png"} == set(refused), f"{source}: quarantine {refused}")
        check("passed.jsonl says why" in said, f"{source}: does not say that something is passed over: {said}")
        check("dot" in passed["cat/.hidden.png"] and "name" in passed["docs/readme.txt"], f"{source}: reasons {passed}")


def splits(binary):
    """train, val and test are sets of their own with the same classes; or pooled, or one alone"""
    names = [f"{split}/{c}/{i}.png" for split in ("Train", "val", "test") for c in ("ant", "bee", "cat") for i in range(2) if (split, c) != ("val", "bee")]
    names += ["readme.txt", "val/bee/"]
    for source in sources(names):
        ingest(binary, source)
        found = {}
        for split in ("Train", "val", "test"):
            these, names_of = rows(f"out/{split}")
            check(names_of == ["ant", "bee", "cat"], f"{source}, {split}: classes {names_of}")
            check(these == {n: n.split("/")[1] for n in names if n.startswith(split + "/") and n.endswith(".png")}, f"{source}, {split}: rows {these}")
            found.update(these)
        account(names, found, source)
        said = ingest(binary, source, "--name", "all")
        check(len(rows("out")[0]) == 16 and "splits are taken together" in said, f"{source}: --name pools them: {said}")
        ingest(binary, source, "--ingest.splits=pool")
        check(len(rows("out")[0]) == 16, f"{source}: pooled {len(rows('out')[0])} rows")
        ingest(binary, source, "--ingest.splits=val")
        check(set(rows("out")[0]) == {n for n in names if n.startswith("val/") and n.endswith(".png")}, f"{source}: one split: {rows('out')[0]}")
        said = ingest(binary, source, "--ingest.splits=holdout", wanted=78)
        check("expected auto, pool, or a split" in said, f"{source}: {said}")
    beside = ["LICENSE", "README", "logo.png", "scripts/Makefile"]
    for source in sources([f"{split}/{c}/1.png" for split in ("train", "test") for c in ("ant", "bee")] + beside):
        ingest(binary, source)
        found = {**rows("out/train")[0], **rows("out/test")[0]}
        check(len(found) == 4 and rows("out/test")[1] == ["ant", "bee"], f"{source}: {found}")
        passed = account(list(found) + beside, found, source)[1]
        check("beside the splits" in passed["logo.png"], f"{source}: {passed}")
    alone = [f"train/{c}/{i}.png" for c in ("ant", "bee") for i in range(2)]
    for source in sources(alone):
        ingest(binary, source)
        check(rows("out") == ({n: n.split("/")[1] for n in alone}, ["ant", "bee"]), f"{source}: one split alone is one set: {rows('out')}")


def no_splits(binary):
    """a class may be called test, where another is called otherwise; and one folder of images called train is a class"""
    for names, classes_of in ((["test/1.png", "test/2.png", "other/3.png"], ["other", "test"]), (["train/1.png", "train/2.png"], ["train"])):
        for source in sources(names):
            ingest(binary, source)
            found, names_of = rows("out")
            check(names_of == classes_of and all(found[n] == n.split("/")[0] for n in names), f"{source}: {found}, {names_of}")


def links(binary):
    """links in an archive are in quarantine; a circle of folders is passed over"""
    with tarfile.open("links.tar", "w") as t:
        for i, name in enumerate(("a/1.png", "b/2.png")):
            info = tarfile.TarInfo(name)
            info.size = len(png(i))
            t.addfile(info, io.BytesIO(png(i)))
        for name, kind in (("a/soft.png", tarfile.SYMTYPE), ("b/hard.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a/1.png"
            t.addfile(info)
    ingest(binary, "links.tar")
    refused, _ = account(["a/1.png", "b/2.png", "a/soft.png", "b/hard.png"], rows("out")[0], "links.tar")
    check(set(refused) == {"a/soft.png", "b/hard.png"} and all("link to 'a/1.png'" in r for r in refused.values()), f"links: {refused}")
    for source in sources(["a/1.png", "b/c/2.png"], archives=False):
        os.symlink("../..", source + "/b/c/up")
        os.symlink("../a", source + "/b/also")
        ingest(binary, source)
        found, _ = rows("out")
        check(found == {"a/1.png": "a", "b/also/1.png": "b", "b/c/2.png": "b"}, f"a circle: {found}")
        check(lines("passed.jsonl") == {"b/c/up": "is a link to a folder above it"}, f"a circle: {lines('passed.jsonl')}")


def names(binary):
    """class names of any length, and in any script; more classes than an attribute holds are another test's"""
    script = ["käse/1.png", "猫/2.png"]
    for source in sources(script):
        ingest(binary, source)
        check(rows("out") == ({n: n.split("/")[0] for n in script}, ["käse", "猫"]), f"{source}: {rows('out')}")
    long = ["x" * 140 + end for end in ("one", "two")]
    for source in sources([f"{n}/1.png" for n in long]):
        ingest(binary, source)
        check(rows("out")[1] == long, f"{source}: classes of lengths {[len(c) for c in rows('out')[1]]}")


def webdataset(binary):
    """key.cls beside key.png is its class: a name, or an index into the names that are given"""
    with tarfile.open("shard-000000.tar", "w") as t:
        for i in range(6):
            for end, data in (("seg.png", png(i)), ("cls", b"%d\n" % (2 - i % 3)), ("json", b"{}")):
                info = tarfile.TarInfo(f"0000{i}.{end}")
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    ingest(binary, "shard-000000.tar", "--ingest.classes=[ant, bee, cat]")
    found, _ = rows("out")
    check(found == {f"0000{i}.seg.png": ["cat", "bee", "ant"][i % 3] for i in range(6)}, f"webdataset: {found}")
    ingest(binary, "shard-000000.tar")
    check(rows("out") == ({f"0000{i}.seg.png": str(2 - i % 3) for i in range(6)}, ["0", "1", "2"]), f"webdataset: {rows('out')}")
    with tarfile.open("shard-000000.tar") as t: # unpacked it means the same
        t.extractall("unpacked")
    ingest(binary, "unpacked", "--ingest.classes=[ant, bee, cat]")
    check(rows("out")[0] == found, f"an unpacked webdataset: {rows('out')}, wanted {found}")
    with tarfile.open("dots.tar", "w") as t: # keys with dots: the whole name goes before its beginning; a text that is no UTF-8 is no class
        for name, data in (("img.1.png", png(1)), ("img.1.cls", b"cat"), ("img.2.png", png(2)), ("img.2.cls", b"dog"), ("paper.cls", b"\xe9t\xe9"), ("paper.png", png(3)),
                           ("long.cls", b"x" * 256), ("long.png", png(4)), ("zero.cls", b"cat\0s"), ("zero.png", png(5)), ("", b"no name")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    ingest(binary, "dots.tar")
    check(rows("out")[0] == {"img.1.png": "cat", "img.2.png": "dog", "paper.png": None, "long.png": None, "zero.png": None}, f"webdataset: {rows('out')}")
    check(lines("passed.jsonl").get("") == "has no name", f"an entry without a name: {lines('passed.jsonl')}")
    ingest(binary, "shard-000000.tar")
    account([f"0000{i}.{end}" for i in range(6) for end in ("seg.png", "cls", "json")], rows("out")[0], "webdataset")


def lists(binary):
    """the same three images by every kind of list; what a list names and is not there is in quarantine; what is no list is an error with its line"""
    for i, name in enumerate(("a b.png", "c.png", "d, e.png")):
        pathlib.Path("pictures").mkdir(exist_ok=True)
        pathlib.Path("pictures", name).write_bytes(png(i))
    where = os.getcwd()
    kinds = {
        "returns.txt": "pictures/a b.png\tcat\rpictures/c.png\tdog\rpictures/d, e.png\tcat\r",
        "blanks.csv": 'path, label\npictures/a b.png , cat\n"pictures/c.png" , dog\n "pictures/d, e.png", "cat"\n',
        "tabs.txt": "\ufeffpictures/a b.png\tcat\r\n\r\npictures/c.png\tdog\r\npictures/d, e.png\tcat",
        "spaces.txt": f"pictures/a b.png cat\npictures/c.png dog\n{where}/pictures/d, e.png cat\n",
        "header.csv": '\ufeffid,File,width,Label\n7,pictures/a b.png,4,cat\n8,pictures/c.png,4,dog\n9,"pictures/d, e.png",4,"cat"\n',
        "bare.csv": 'pictures/a b.png,cat\npictures/c.png,dog\n"pictures/d, e.png",cat\n',
        "header.tsv": "label\tpath\ncat\tpictures/a b.png\ndog\tpictures/c.png\ncat\tpictures/d, e.png\n",
        "lines.jsonl": '{"file_name": "pictures/a b.png", "label": "cat"}\n{"path": "pictures/c.png", "class": "dog", "x": []}\n\n{"image": "pictures/d, e.png", "label": "cat"}\n',
    }
    for name, text in kinds.items():
        pathlib.Path(name).write_text(text, encoding="utf-8", newline="")
        ingest(binary, name)
        found, names_of = rows("out")
        found = {k.removeprefix(where + "/"): v for k, v in found.items()}
        check(found == {"pictures/a b.png": "cat", "pictures/c.png": "dog", "pictures/d, e.png": "cat"} and names_of == ["cat", "dog"], f"{name}: {found}, {names_of}")
    pathlib.Path("numbers.csv").write_text("image,label\npictures/c.png,1\npictures/a b.png,0\ngone.png,1\npictures/c.png,2\n", encoding="utf-8")
    ingest(binary, "numbers.csv", "--ingest.classes=[cat, dog]")
    check(rows("out") == ({"pictures/c.png": "dog", "pictures/a b.png": "cat"}, ["cat", "dog"]), f"indices: {rows('out')}")
    refused = lines("quarantine.jsonl")
    check(set(refused) == {"gone.png", "pictures/c.png"} and "not in ingest.classes" in refused["pictures/c.png"], f"indices: {refused}")
    pathlib.Path("quoted.csv").write_text('path,label\n"pictures/c.png","a ""big"" dog"\npictures/a b.png,\n', encoding="utf-8")
    ingest(binary, "quoted.csv")
    check(rows("out") == ({"pictures/c.png": 'a "big" dog', "pictures/a b.png": None}, ['a "big" dog']), f"quotes: {rows('out')}")
    for name, text, said in (("bad.jsonl", '{"path": "pictures/c.png", "label": 1}\n{"path": \n', "line 2 is not JSON"), ("none.jsonl", '{"label": 1}\n', "line 1 names no file"),
                             ("real.jsonl", '{"path": "pictures/c.png", "label": 0.5}\n', '"label" is neither text nor a whole number'),
                             ("nowhere.csv", "id,label\n1,cat\n", "names a class's column, but none of the file"), ("short.csv", "label,path\ncat\n", "line 2 has 1 value, but the path is value 2")):
        pathlib.Path(name).write_text(text, encoding="utf-8")
        check(said in ingest(binary, name, wanted=65), f"{name}: an error without its line")


def columns(binary):
    """columns by other names, other separators, line ends within quotes, remarks, classes of two words, numbers"""
    pathlib.Path("cols/in").mkdir(parents=True)
    for i in range(12):
        pathlib.Path(f"cols/in/{i}.png").write_bytes(png(i))
    two = {"in/0.png": "cat", "in/1.png": "dog"}
    for name, text in (("fname.csv", "fname,breed\nin/0.png,cat\nin/1.png,dog\n"),
                       ("own.csv", "Image Index,Finding\nin/0.png,cat\nin/1.png,dog\n"), # no name that is known: its values tell
                       ("turned.csv", "y,photo\ncat,in/0.png\ndog,in/1.png\n"),
                       ("semicolon.csv", "path;label\nin/0.png;cat\nin/1.png;dog\n"),
                       ("tab.csv", "in/0.png\tcat\r\nin/1.png\tdog"),
                       ("quoted.csv", 'path,note,label\nin/0.png,"two\nlines, and ""more""",cat\n\n  \nin/1.png,,dog\n'),
                       ("classid.csv", "file_name,class_id\nin/0.png,cat\nin/1.png,dog\n"),
                       ("remarks.csv", "# made by hand\npath,label\n# two of them\nin/0.png,cat\nin/1.png,dog\n"),
                       ("folders.csv", "in,labels\nin/0.png,cat\nin/1.png,dog\n"), # a column called as a folder is
                       ("turned2.csv", "cat,in/0.png\ndog,in/1.png\n"),
                       ("three.txt", "in/0.png\tcat\t0.98\nin/1.png\tdog\n# done\n")):
        pathlib.Path("cols", name).write_text(text, encoding="utf-8")
        ingest(binary, f"cols/{name}")
        check(rows("out") == (two, ["cat", "dog"]), f"{name}: {rows('out')}")
    pathlib.Path("cols/gone.csv").write_text("in/gone.png,cat\nin/1.png,dog\n", encoding="utf-8")
    ingest(binary, "cols/gone.csv") # the first line is an image that is missing, and no head
    check(rows("out")[0] == {"in/1.png": "dog"} and "in/gone.png" in lines("quarantine.jsonl"), f"the first is missing: {rows('out')}")
    pathlib.Path("cols/words.txt").write_text("in/0.png golden retriever\nin/1.png cat\n", encoding="utf-8")
    ingest(binary, "cols/words.txt")
    check(rows("out") == ({"in/0.png": "golden retriever", "in/1.png": "cat"}, ["cat", "golden retriever"]), f"words: {rows('out')}")
    pathlib.Path("cols/many.csv").write_text("path,width,finding\nin/0.png,4,cat\nin/1.png,4,dog\n", encoding="utf-8")
    said = ingest(binary, "cols/many.csv")
    check("all images are unlabelled; there are 'path', 'width', 'finding'" in said and rows("out")[1] == [], f"many: {said} {rows('out')}")
    # numbers are in the order of numbers, and -1 is no class
    for name in ("numbers.csv", "numbers.jsonl"):
        with open(f"cols/{name}", "w", encoding="utf-8") as f:
            for i in range(12):
                f.write(f"in/{i}.png,{i - 1}\n" if name.endswith("csv") else json.dumps({"path": f"in/{i}.png", "label": i - 1}) + "\n")
        said = ingest(binary, f"cols/{name}")
        found, names_ = rows("out")
        check(names_ == [str(i) for i in range(11)] and found["in/11.png"] == "10" and found["in/0.png"] is None, f"{name}: {found} {names_}")
        check("the class -1 is taken for none" in said, f"{name}: {said}")
    for text, said in (('path,label\nin/0.png,"cat\n', "line 2: a quote is not closed"), ("in/0.png,caf\xe9\n", "not UTF-8"),
                       ('path,label\nin/0.png,"a ""b""\nc"\nin/1.png,"d\n', "line 4: a quote is not closed")):
        pathlib.Path("cols/bad.csv").write_bytes(text.encode("latin-1"))
        check(said in ingest(binary, "cols/bad.csv", wanted=65), f"{text}: no error with {said}")
    for names_, said in (("[cat, dog, cat]", "'cat' is entry 0 and entry 2"), ("[cat, '']", "entry 1 is empty")):
        check(said in ingest(binary, "cols/fname.csv", f"--ingest.classes={names_}", wanted=78), f"{names_}: no error with {said}")


def annotations(binary):
    """what lists and .json files say beside the class, a row each; an old reader finds no such column where nothing is said"""
    def told(folder="out"):
        with h5py.File(f"{folder}/shard-00000.h5") as f:
            if "annotation" not in f:
                return None
            source, at = f["source"][()].tobytes(), f["source_offset"][:]
            text, begin = f["annotation"][()].tobytes(), f["annotation_offset"][:]
            n = len(at) - 1
            return {source[int(at[i]):int(at[i + 1])].decode(): json.loads(text[int(begin[i]):int(begin[i + 1])] or b"null") for i in range(n)}
    pathlib.Path("ann").mkdir()
    for i in range(3):
        pathlib.Path(f"ann/{i}.png").write_bytes(png(i))
    pathlib.Path("ann/list.csv").write_text('path,label,age,site,note\n0.png,cat,7,a,"x, ""y"""\n1.png,dog,,007,\n2.png,dog,0.5,b,\n', encoding="utf-8")
    ingest(binary, "ann/list.csv")
    want = {"0.png": {"age": 7, "site": "a", "note": 'x, "y"'}, "1.png": {"site": "007"}, "2.png": {"age": 0.5, "site": "b"}}
    check(told() == want, f"columns: {told()}")
    pathlib.Path("ann/list.jsonl").write_text('{"path": "0.png", "label": "cat", "boxes": [[1, 2, 3, 4]]}\n{"path": "1.png", "label": "dog"}\n', encoding="utf-8")
    ingest(binary, "ann/list.jsonl")
    check(told() == {"0.png": {"boxes": [[1, 2, 3, 4]]}, "1.png": None}, f"members: {told()}")
    files = {f"0{i}.{end}": data for i in range(3) for end, data in (("png", png(i)), ("cls", b"%d" % i), ("json", json.dumps({"score": i}).encode()))}
    files["02.json"] = b"{" + b" " * 70000 + b"}" # too long
    files["01.json"] = b"{no JSON"
    pathlib.Path("web.tar").write_bytes(tarred(files))
    for name, data in files.items():
        pathlib.Path("web").mkdir(exist_ok=True)
        pathlib.Path("web", name).write_bytes(data)
    for source in ("web.tar", "web"):
        ingest(binary, source)
        check(told() == {"00.png": {"score": 0}, "01.png": None, "02.png": None}, f"{source}: {told()}")
    subprocess.run([binary, "augment", "--data", "out", "--augment=[{flip: 1}]", "--out", "flipped"], check=True, capture_output=True)
    check(told("flipped") == told(), f"copied: {told('flipped')}")
    ingest(binary, "web", "--ingest.shard_rows=1") # a shard of which no row has any
    with h5py.File("out/shard-00001.h5") as f:
        check("annotation" not in f, "a column of nothing")


def slices(binary):
    """a column is a slice, by its values' names, whatever their order is in a shard or on a night"""
    pathlib.Path("slices").mkdir()
    def night(number, sites, dark):
        """80 images of each site; those of `dark` are darker"""
        text = "path,label,site,sunny\n"
        for i in range(80 * len(sites)):
            site = sites[i % len(sites)]
            pathlib.Path(f"slices/{number}-{i}.png").write_bytes(png(100 + i % 7 if site != dark else 20 + i % 7))
            text += f"{number}-{i}.png,,{site},{'true' if i % 2 else ''}\n"
        pathlib.Path(f"slices/{number}.csv").write_text(text, encoding="utf-8")
        ingest(binary, f"slices/{number}.csv", "--ingest.group_by=site", "--ingest.group=elsewhere", "--ingest.shard_rows=50")
        shutil.rmtree(f"night-{number}", ignore_errors=True)
        os.rename("out", f"night-{number}")
        return json.loads(pathlib.Path(f"night-{number}/dataset.json").read_text(encoding="utf-8"))
    first = night(1, ["north", "7", ""], None)
    second = night(2, ["7", "north", "new"], "north")
    check(first["groups"] == ["north", "7", "elsewhere"] and second["groups"] == ["7", "north", "new"], f"groups: {first['groups']} {second['groups']}")
    for shard in second["shards"]:
        with h5py.File(f"night-2/{shard['file']}") as f:
            names, group = [x.decode() for x in f.attrs["groups"]], f["group"][:]
            source, at = f["source"][()].tobytes(), f["source_offset"][:]
            for i in range(len(group)):
                name = source[int(at[i]):int(at[i + 1])].decode()
                want = ["7", "north", "new"][int(name.split("-")[1].split(".")[0]) % 3]
                check(names[group[i]] == want, f"{shard['file']}: {name} is of {names[group[i]]}")
    shutil.rmtree("out", ignore_errors=True)
    subprocess.run([binary, "drift", "--reference", "night-1", "--current", "night-2", "--drift.permutations=19", "--drift.self_test=0", "--out", "out"], check=True, capture_output=True)
    report = json.loads(pathlib.Path("out/drift.json").read_text(encoding="utf-8"))
    found = {s["slice"]: (s["reference_rows"], s["current_rows"], s["status"]) for s in report["slices"]}
    check(found == {"group north": (80, 80, "material"), "group 7": (80, 80, "none"), "group elsewhere": (80, 0, "untested"), "group new": (0, 80, "untested")}, f"slices: {found}")
    check("mostly group north" in report["summary"], f"summary: {report['summary']}")
    check("no image has 'sight' in its annotation" in ingest(binary, "slices/1.csv", "--ingest.group_by=sight"), "a member that nobody has")
    pathlib.Path("slices/lists.csv").write_text("path,label,site\n1-0.png,," + "x" * 300 + "\n", encoding="utf-8")
    check("is no name of a slice" in ingest(binary, "slices/lists.csv", "--ingest.group_by=site", wanted=65), "a text of 300 bytes is a slice")


def objects(binary):
    """COCO, YOLO and Pascal VOC: lists of objects as annotations"""
    paths_objects.boxes(binary, sys.modules[__name__])


def follow(binary):
    """what is new since the last time"""
    paths_follow.follow(binary, sys.modules[__name__])


def place(binary):
    """where images were taken is kept where that is asked"""
    paths_place.place(binary, sys.modules[__name__])


def strays(binary):
    """a file or two beside what the tree means change nothing of it; a class of one folder keeps its name"""
    cats = ["cat/part1/1.png", "cat/part2/2.png"]
    for source in list(sources(cats)): # made in the folder, or with one around it; tar xz and zip have one
        if not source.endswith(("/.tar", "/.-.tar.gz")) and not source.endswith("/.zip"):
            ingest(binary, source)
            check(set(rows("out")[0].values()) == {"cat"}, f"{source}: {rows('out')}")
    with tarfile.open("dot.tar", "w") as t:
        for name in (".", *cats):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name == "." else tarfile.REGTYPE
            info.size = 0 if name == "." else len(png(1))
            t.addfile(info, io.BytesIO(png(1)))
    ingest(binary, "dot.tar")
    check(set(rows("out")[0].values()) == {"cat"}, f"dot.tar: {rows('out')}")
    kinds = [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)]
    for source in sources([*kinds, "MANIFEST.bin", "stray.png"]):
        ingest(binary, source)
        check({v for k, v in rows("out")[0].items() if k != "stray.png"} == {"cat", "dog"} and rows("out")[1] == ["cat", "dog"], f"{source}: {rows('out')}")
        account([*kinds, "MANIFEST.bin", "stray.png"], rows("out")[0], source)
    split = [f"{s}/{n}" for s in ("train", "test") for n in kinds]
    for source in sources([*split, "devkit/meta.bin", "train/stray.png", "other.png"]):
        ingest(binary, source)
        for s in ("train", "test"):
            check(rows(f"out/{s}")[1] == ["cat", "dog"], f"{source}: {rows(f'out/{s}')}")
    alone = [f"train/{n}" for n in kinds]
    for source in sources([*alone, "train/stray.png"], archives=False):
        ingest(binary, source)
        check(rows("out")[1] == ["cat", "dog"] and rows("out")[0]["train/stray.png"] is None, f"{source}: {rows('out')}")
    for source in sources(["train/a.png", "cat/b.png", "dog/c.png", "horse/d.png"], archives=False):
        check("a class is called 'train', as splits are" in ingest(binary, source), "no doubt about a class called train")


def tarred(files):
    """the bytes of a tar: {name: content}"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def containers(binary):
    """a tar of tars, a folder of archives, several sources, and what the directory of a zip says"""
    inner = {f"n0{c}.tar": tarred({f"n0{c}_{i}.JPEG": png(3 * c + i) for i in range(3)}) for c in range(4)}
    pathlib.Path("imagenet.tar").write_bytes(tarred(inner))
    want = {f"n0{c}/n0{c}_{i}.JPEG": f"n0{c}" for c in range(4) for i in range(3)}
    ingest(binary, "imagenet.tar", "--ingest.shard_rows=5") # read again from its beginning for each shard
    check(rows("out") == (want, [f"n0{c}" for c in range(4)]), f"a tar of tars: {rows('out')}")
    inner["n01.tar"] = inner["n01.tar"][:1500]
    pathlib.Path("cut.tar").write_bytes(tarred(inner))
    ingest(binary, "cut.tar", wanted=65)
    # a folder of a webdataset's shards: classes are numbers of all shards, keys may come again
    pathlib.Path("shards").mkdir()
    for s in range(3):
        pathlib.Path(f"shards/train-{s}.tar").write_bytes(tarred({f"00{i}.{end}": data for i in range(4) for end, data in
                                                                  (("png", png(4 * s + i)), ("cls", b"%d" % (4 * s + i)))}))
    pathlib.Path("shards/README").write_text("words", encoding="utf-8")
    ingest(binary, "shards")
    want = {f"train-{s}.tar/00{i}.png": str(4 * s + i) for s in range(3) for i in range(4)}
    check(rows("out") == (want, [str(i) for i in range(12)]), f"a folder of archives: {rows('out')}")
    check(lines("passed.jsonl")["train-2.tar/003.cls"].startswith("says the class"), f"{lines('passed.jsonl')}")
    # several sources: their classes together, each label by its name
    for name, kinds in (("one", ("ant", "cat")), ("two", ("bee", "cat"))):
        for k in kinds:
            pathlib.Path(name, k).mkdir(parents=True)
            pathlib.Path(name, k, "1.png").write_bytes(png(len(k) + len(name)))
    pathlib.Path("three.tar").write_bytes(tarred({"cat/9.png": png(90), "dog/8.png": png(91)}))
    ingest(binary, "one", "two", "three.tar")
    want = {"one/ant/1.png": "ant", "one/cat/1.png": "cat", "two/bee/1.png": "bee", "two/cat/1.png": "cat", "three.tar/cat/9.png": "cat",
            "three.tar/dog/8.png": "dog"}
    check(rows("out") == (want, ["ant", "bee", "cat", "dog"]), f"several: {rows('out')}")
    ingest(binary, "one", "two", "--ingest.classes=[cat, bee, ant]")
    check(rows("out") == ({k: v for k, v in want.items() if "three" not in k}, ["cat", "bee", "ant"]), f"several with classes: {rows('out')}")
    for name in ("left", "right"):
        for s in ("train", "test"):
            pathlib.Path(name, s, "cat").mkdir(parents=True)
            pathlib.Path(name, s, "cat", "1.png").write_bytes(png(len(s) + len(name)))
    ingest(binary, "left", "right/")
    for s in ("train", "test"):
        check(len(rows(f"out/{s}")[0]) == 2, f"splits of several: {rows(f'out/{s}')}")
    check("has splits, but one has none" in ingest(binary, "left", "one", wanted=65), "splits of some")
    # what lies beside archives is passed over; what is hidden is no archive; without a name's end it may be an image, and the folder is one of files
    pathlib.Path("shards/._train-0.tar").write_bytes(b"\0\5\x16\7 of another system")
    ingest(binary, "shards")
    passed = lines("passed.jsonl")
    check(passed["README"] == passed["._train-0.tar"] == "lies beside archives" and len(rows("out")[0]) == 12, f"beside archives: {passed}")
    pathlib.Path("mixed").mkdir()
    pathlib.Path("mixed/d41d8cd9").write_bytes(png(1))
    shutil.copy("three.tar", "mixed/backup.tar")
    ingest(binary, "mixed")
    check(rows("out")[0] == {"d41d8cd9": None} and "backup.tar" in lines("passed.jsonl"), f"an image without an end: {rows('out')}")
    pathlib.Path("junk.zip").unlink(missing_ok=True)
    with zipfile.ZipFile("junk.zip", "w") as z:
        z.writestr("cat/1.png", png(1))
        z.writestr("dog/2.png", png(2))
        z.writestr("old.tar", b"no tar at all" * 100)
    ingest(binary, "junk.zip")
    check(rows("out")[1] == ["cat", "dog"] and lines("passed.jsonl")["old.tar"].startswith("is called a tar"), f"a tar that is none: {rows('out')}")
    for name in ("train-0.tar", "val-0.tar"):
        pathlib.Path("both").mkdir(exist_ok=True)
        pathlib.Path("both", name).write_bytes(tarred({"a/1.png": png(len(name))}))
    check("archives are called as splits are" in ingest(binary, "both"), "no doubt about archives of splits")
    # classes that are numbers are the same class however many digits each source writes
    import numpy as np
    for name, labels in (("ten", range(11)), ("nine", range(10))):
        pathlib.Path(name).mkdir()
        np.save(f"{name}/images.npy", np.array([np.full((4, 4), 20 * k + len(name), np.uint8) for k in labels]))
        np.save(f"{name}/labels.npy", np.array(labels))
    ingest(binary, "ten/images.npy", "nine/images.npy")
    index = json.loads(pathlib.Path("out/dataset.json").read_text(encoding="utf-8"))
    check(index["classes"] == [f"{k:02}" for k in range(11)] and index["histogram"] == [2] * 10 + [1], f"numbers of several: {index['classes']}, {index['histogram']}")
    with h5py.File("out/shard-00000.h5") as f:
        check(f["label"][:].tolist() == [*range(11), *range(10)], f"numbers of several: {f['label'][:]}")
    # what a zip's directory leaves out was deleted; of two entries of a name the last counts; names of code page 437
    with zipfile.ZipFile("deleted.zip", "w") as z:
        for i, name in enumerate(("cat/1.png", "cat/2.png", "dog/3.png")):
            z.writestr(name, png(i))
        z.filelist = [e for e in z.filelist if e.filename != "cat/2.png"]
        z.NameToInfo.pop("cat/2.png")
    pathlib.Path("prefixed.zip").write_bytes(b"#!/bin/sh\nexit\n" + pathlib.Path("deleted.zip").read_bytes())
    for source in ("deleted.zip", "prefixed.zip"):
        ingest(binary, source)
        check(rows("out") == ({"cat/1.png": "cat", "dog/3.png": "dog"}, ["cat", "dog"]), f"{source}: {rows('out')}")
    page = bytearray(pathlib.Path("deleted.zip").read_bytes().replace(b"cat/1.png", b"k\x84s/1.png"))
    pathlib.Path("page437.zip").write_bytes(page)
    ingest(binary, "page437.zip")
    check(rows("out") == ({"käs/1.png": "käs", "dog/3.png": "dog"}, ["dog", "käs"]), f"code page 437: {rows('out')}")
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w") as t:
        for i, name in enumerate(("cat/1.png", "dog/2.png", "cat/1.png")):
            info = tarfile.TarInfo(name)
            info.size = len(png(i))
            t.addfile(info, io.BytesIO(png(i)))
    pathlib.Path("twice.tar").write_bytes(twice.getvalue())
    ingest(binary, "twice.tar")
    with h5py.File("out/shard-00000.h5") as f:
        check(sorted(f["image"][:, 0, 0, 0].tolist()) == [1, 2], f"the last of a name: {f['image'][:, 0, 0, 0]}")
    check(lines("passed.jsonl") == {"cat/1.png": "is replaced by a later entry of the archive with its name"}, f"{lines('passed.jsonl')}")
    locked = bytearray(pathlib.Path("deleted.zip").read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        i = locked.find(mark)
        while i >= 0:
            locked[i + at] |= 1
            i = locked.find(mark, i + 1)
    pathlib.Path("locked.zip").write_bytes(locked)
    check("is encrypted" in ingest(binary, "locked.zip", wanted=65), "an encrypted zip")


def like(binary):
    """the classes of another set, in its order: two of three classes keep their indices, what is of none is refused by name"""
    for source in sources(["ant/1.png", "bee/2.png", "cat/3.png"], archives=False):
        ingest(binary, source, "--ingest.classes=[cat, ant, bee]")
        shutil.move("out", "first")
    for source in sources(["bee/1.png", "cat/2.png", "elk/3.png"]):
        ingest(binary, source, "--like", "first")
        found, names_of = rows("out")
        check(names_of == ["cat", "ant", "bee"] and found == {"bee/1.png": "bee", "cat/2.png": "cat"}, f"{source}: {found}, {names_of}")
        check("class 'elk' is not in ingest.classes" in lines("quarantine.jsonl")["elk/3.png"], f"{source}: {lines('quarantine.jsonl')}")
    said = ingest(binary, source, "--like", "first", "--ingest.classes=[cat]", wanted=78)
    check("exclude each other" in said, said)
    check("neither dataset.json nor model.json" in ingest(binary, source, "--like", ".", wanted=78), "a folder of neither")


def unlabelled(binary):
    """images without class folders are a set without classes: nobody has to name any until something asks for them"""
    for source in sources([f"{i}.png" for i in range(40)]):
        if "around" in source or "may" in source:
            continue # there the folder is their class
        ingest(binary, source)
        check(rows("out") == ({f"{i}.png": None for i in range(40)}, []), f"{source}: {rows('out')}")
        index = json.loads(pathlib.Path("out/dataset.json").read_text(encoding="utf-8"))
        check(index["unlabelled"] == 40 and index["histogram"] == [], f"{source}: {index}")
    shutil.move("out", "bare")
    run = subprocess.run([binary, "train", "--data", "bare", "--out", "model"], capture_output=True, text=True, check=False)
    check(run.returncode == 65 and "names no classes" in run.stderr, f"training without classes: {run.returncode}, {run.stderr}")
    run = subprocess.run([binary, "drift", "--reference", "bare", "--current", "bare", "--out", "drift", "--drift.self_test=0"], capture_output=True, text=True, check=False)
    check(run.returncode == 0, f"drift of sets without classes: {run.stderr}")


def share(binary):
    """more than ingest.refuse_share refused is an error, a few are not"""
    for bad, wanted in ((10, 0), (11, 65)):
        for source in sources([f"a/{i}.png" for i in range(120)], archives=False):
            for i in range(bad):
                pathlib.Path(source, f"a/{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
            said = ingest(binary, source, wanted=wanted)
            check(not wanted or "11 of 120 images were refused, more than ingest.refuse_share = 0.05" in said, f"share: {said}")
            check(not wanted or not os.path.exists("out/dataset.json"), "share: something is published")
            for part in range(2): # as an array would: each task a part, judged where they are merged
                subprocess.run([binary, "ingest", source, "--out", f"parts{bad}/0000{part}", "--name", "a", "--part", f"{part}/2", "--ingest.shard_rows=40"],
                               capture_output=True, check=True)
            merged = subprocess.run([binary, "merge", f"parts{bad}", "--out", f"merged{bad}"], capture_output=True, text=True, check=False)
            check(merged.returncode == wanted and ("11 of 120 images" in merged.stderr) == bool(wanted), f"share, merged: {merged.returncode}, {merged.stderr}")
            ingest(binary, source, "--ingest.refuse_share=0.1")
            check(len(rows("out")[0]) == 120 - bad, f"share: {len(rows('out')[0])} rows")


def exif(orientation, model):
    """orientation, model and date, in an eXIf chunk"""
    text = [model.encode() + b"\0", b"2024:02:29 23:59:58\0"]
    entries = [(0x110, 2, len(text[0]), 50), (0x112, 3, 1, orientation << 16), (0x132, 2, 20, 50 + len(text[0]))]
    return chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\3" + b"".join(struct.pack(">HHII", *e) for e in entries) + b"\0\0\0\0" + b"".join(text))


def files(binary):
    """what each file was is kept beside the row, whatever the row has become"""
    made_of = {"a/1.png": None, "a/2.png": (6, "Lens 3"), "b/3.png": (1, "Another"), "b/4.bmp": "bmp"}
    for source in sources([n for n in made_of if n.endswith("png")], archives=False):
        for name, what in made_of.items():
            path = pathlib.Path(source, name)
            if what == "bmp":
                path.write_bytes(b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 2, 3, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(24))
            elif what:
                whole = png(7)
                path.write_bytes(whole[:33] + exif(*what) + whole[33:])
        for options in ((), ("--size", "8x8"), ("--encoding", "encoded")):
            ingest(binary, source, *options)
            with h5py.File("out/shard-00000.h5") as f:
                column = {k: f["file_" + k][:] for k in ("height", "width", "channels", "bytes", "format", "orientation", "captured", "camera", "position", "sha256")}
                formats, cameras = ([x.decode() for x in f.attrs[k]] for k in ("formats", "cameras"))
            content_of = [pathlib.Path(source, n).read_bytes() for n in made_of]
            wanted = {"height": [4, 4, 4, 3], "width": [4, 4, 4, 2], "channels": [1, 1, 1, 3], "bytes": [len(c) for c in content_of],
                      "orientation": [1, 6, 1, 1], "captured": [0, 1709251198, 1709251198, 0], "position": [0] * 4}
            for key, values in wanted.items():
                check(column[key].tolist() == values, f"{options}: file_{key} is {column[key].tolist()}, wanted {values}")
            check([formats[i] for i in column["format"]] == ["png", "png", "png", "bmp"], f"{options}: formats {formats}, {column['format']}")
            check([cameras[i] if i >= 0 else None for i in column["camera"]] == [None, "Lens 3", "Another", None], f"{options}: cameras {cameras}")
            check([bytes(x).hex() for x in column["sha256"]] == [hashlib.sha256(c).hexdigest() for c in content_of], f"{options}: digests")


def arrays(binary):
    """images and labels that are rows of arrays"""
    paths_arrays.run(binary, check, ingest, lines)


if __name__ == "__main__":
    program, *parts = sys.argv[1:]
    for part in tiny.chosen((classes, splits, no_splits, links, names, webdataset, lists, columns, annotations, slices, objects, follow, place, strays, containers, like, unlabelled, share, files, arrays), parts):
        part(program)
    print(f"{tiny.checks} checks passed")
