"""ingest --follow: each night takes what is new, once; whatever ends a job: for paths.py, whose functions it is given."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time


def write(path, data, at=1_000_000):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (at, at))


def follow(binary, t):
    def night(number, *sources, wanted=0, more=()):
        run = subprocess.run([binary, "ingest", *sources, "--follow", "seen.jsonl", "--out", f"night{number}", *more], capture_output=True, text=True, check=False)
        t.check(run.returncode == wanted, f"night {number}: exit {run.returncode}, wanted {wanted}: {run.stderr}")
        return run.stdout + run.stderr

    def took(number):
        return sorted(t.rows(f"night{number}")[0].items())

    def seen():
        return [json.loads(line) for line in pathlib.Path("seen.jsonl").read_text(encoding="utf-8").splitlines()]

    for i in range(4):
        write(f"in/{'cat' if i % 2 else 'dog'}/{i}.png", t.png(i))
    write("in/cat/broken.png", b"no image")
    allow = ["--ingest.refuse_share=1"]
    night(1, "in", more=allow)
    t.check(took(1) == [("cat/1.png", "cat"), ("cat/3.png", "cat"), ("dog/0.png", "dog"), ("dog/2.png", "dog")], f"the first night: {took(1)}")
    t.check(seen()[0] == {"schema": "nightshift.follow/1", "sources": ["in"], "classes": ["cat", "dog"]}, f"head: {seen()[0]}")
    t.check(seen()[1] == {"path": "cat/1.png", "bytes": len(t.png(1)), "time": 1_000_000} and len(seen()) == 6, f"lines: {seen()}")
    t.check("5 files were taken before" in night(2, "in", wanted=65), "a night without new files is no error")
    t.check(not pathlib.Path("night2").exists(), "a night without new files has a set")
    # a new file, one that has changed, one of another class, which waits for its class to be named; what was there is not opened
    write("in/dog/9.png", t.png(9))
    write("in/dog/2.png", t.png(22), 1_000_001)
    write("in/ant/7.png", t.png(7))
    for name in ("cat/1.png", "cat/3.png", "dog/0.png"):
        write(f"in/{name}", b"x" * pathlib.Path("in", name).stat().st_size)
    said = night(2, "in", more=allow)
    t.check(took(2) == [("dog/2.png", "dog"), ("dog/9.png", "dog")] and t.rows("night2")[1] == ["cat", "dog"], f"the second night: {took(2)}")
    t.check('"taken_before":4' in said, f"what was taken before is not told: {said}")
    t.check("class 'ant' is not in ingest.classes" in pathlib.Path("night2/quarantine.jsonl").read_text(encoding="utf-8"), "a class that nobody named")
    night(3, "in", more=["--ingest.classes=[cat, dog, ant]"])
    t.check(took(3) == [("ant/7.png", "ant")] and seen()[0]["classes"] == ["cat", "dog", "ant"], f"the third night: {took(3)}")
    # one that was killed before its set was there, and one after
    write("in/cat/11.png", t.png(11))
    before = pathlib.Path("seen.jsonl").read_bytes()
    head, *rest = before.decode().splitlines(keepends=True)
    line = '{"path":"cat/11.png","bytes":%d,"time":1000000}\n' % len(t.png(11))
    there = hashlib.sha256(pathlib.Path("night3/dataset.json").read_bytes()).hexdigest()
    for out, digest, wanted in (("nowhere", there, 0), ("night3", "0" * 64, 0), ("night3", there, 65)): # the second: another set, which was to be replaced
        pending = json.loads(head) | {"pending": {"out": out, "lines": len(rest), "file": "dataset.json", "sha256": digest}}
        pathlib.Path("seen.jsonl").write_text(json.dumps(pending) + "\n" + "".join(rest) + line, encoding="utf-8")
        night(4, "in", wanted=wanted)
        if not wanted:
            t.check(took(4) == [("cat/11.png", "cat")], f"after a kill: {took(4)}")
            t.check(seen()[0] == json.loads(head) and seen()[-1] == json.loads(line), f"after a kill: {seen()}")
            shutil.rmtree("night4")
    pathlib.Path("seen.jsonl").write_bytes(before)
    # what is wrong with the list
    for text, words in ((before[:-3], "does not end: the list was cut"), (b"[]\n" + before, "line 1 is not an object"), (before + b'{"path": "x", "bytes": "3", "time": 1}\n', "bytes"),
                        (before.replace(b"follow/1", b"follow/2"), "expected nightshift.follow/1")):
        pathlib.Path("seen.jsonl").write_bytes(text)
        t.check(words in night(5, "in", wanted=65), f"no error with {words}")
        t.check(pathlib.Path("seen.jsonl").read_bytes() == text and not pathlib.Path("night5").exists(), "a list that is wrong was written")
    pathlib.Path("seen.jsonl").write_bytes(before)
    t.check("cannot be combined" in night(5, "in", wanted=64, more=["--part", "0/2", "--name", "x"]), "--part is taken")
    # a set that cannot be published leaves the list as it was
    shutil.copytree("night1", "night6")
    night(6, "in", wanted=74)
    t.check(pathlib.Path("seen.jsonl").read_bytes() == before, "the list says what was not published")
    # archives as a whole, which are not read again; several sources
    pathlib.Path("seen.jsonl").unlink(missing_ok=True)
    write("tars/a.tar", t.tarred({"cat/1.png": t.png(1), "dog/2.png": t.png(2)}))
    write("tars/b.tar", t.tarred({"cat/3.png": t.png(3)}))
    night(7, "tars")
    write("tars/a.tar", b"x" * pathlib.Path("tars/a.tar").stat().st_size) # would be an error if it were read
    write("tars/c.tar", t.tarred({"dog/4.png": t.png(4)}))
    night(8, "tars")
    t.check(took(8) == [("c.tar/dog/4.png", "dog")] and t.rows("night8")[1] == ["cat", "dog"], f"archives: {t.rows('night8')}")
    t.check([x["path"] for x in seen()[1:]] == ["a.tar", "b.tar", "c.tar"], f"archives: {seen()}")
    pathlib.Path("seen.jsonl").unlink(missing_ok=True)
    write("list/x.png", t.png(1))
    write("list/y.png", t.png(2))
    write("list/l.csv", b"path,label\nx.png,cat\ngone.png,cat\n")
    night(9, "list/l.csv", "tars/b.tar", more=allow)
    write("list/l.csv", b"path,label\nx.png,cat\ny.png,cat\ngone.png,cat\n")
    night(10, "list/l.csv", "tars/b.tar", more=allow)
    t.check(took(10) == [("l.csv/y.png", "cat")], f"a list: {took(10)}")
    t.check("l.csv/gone.png" in t.lines_of("night10/quarantine.jsonl"), "a file that is not there")
    write("list/gone.png", t.png(3))
    night(11, "list/l.csv", "tars/b.tar")
    t.check(took(11) == [("l.csv/gone.png", "cat")], f"a file that came late: {took(11)}")
    # the same for two ranks
    shutil.rmtree("night11")
    pathlib.Path("seen.jsonl").unlink(missing_ok=True)
    for ranks in (1, 2):
        subprocess.run([*(["env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "2"] if ranks == 2 else []), binary, "ingest", "list", "--follow", f"seen{ranks}", "--out", f"ranks{ranks}", "--name", "x"], check=True, capture_output=True)
    t.check(pathlib.Path("seen1").read_bytes() == pathlib.Path("seen2").read_bytes(), "the list depends on ranks")
    t.check(json.loads(pathlib.Path("ranks1/dataset.json").read_text(encoding="utf-8"))["digest"] == json.loads(pathlib.Path("ranks2/dataset.json").read_text(encoding="utf-8"))["digest"], "the set depends on ranks")
    # splits keep theirs; a list that another job changes while this one works is left to that job
    pathlib.Path("seen.jsonl").unlink(missing_ok=True)
    for i in range(8):
        write(f"split/{('train', 'test')[i % 2]}/cat/{i}.png", t.png(i))
    night(12, "split")
    for i in (8, 9, 11):
        write(f"split/{('train', 'test')[i % 2]}/cat/{i}.png", t.png(i))
    night(13, "split")
    found = {name: sorted(t.rows(f"night13/{name}")[0]) for name in ("train", "test")}
    t.check(found == {"train": ["train/cat/8.png"], "test": ["test/cat/11.png", "test/cat/9.png"]}, f"splits: {found}")
    write("split/train/cat/12.png", t.png(12)) # nothing for test
    night(15, "split")
    t.check(not pathlib.Path("night15/test").exists() and list(t.rows("night15/train")[0]) == ["train/cat/12.png"], "a split that has not grown")
    t.check("is of other sources" in night(16, "in", wanted=78), "a list is followed by another source")
    t.check("there is no such folder" in night(16, "in", wanted=78, more=["--follow", "nodir/seen"]), "a list in no folder")
    pathlib.Path("seen.jsonl").unlink()
    write("numbers/l.csv", b"path,label\n../in/cat/1.png,0\n../list/x.png,1\n../list/y.png,7\n")
    write("in/cat/1.png", t.png(1), 7)
    night(17, "numbers/l.csv")
    write("numbers/l.csv", b"path,label\n../in/cat/1.png,0\n../list/x.png,1\n../list/y.png,7\n../list/gone.png,2\n")
    t.check("class '2' is not in ingest.classes" in night(18, "numbers/l.csv", wanted=65), "a class that is a number is taken for an index")
    pathlib.Path("seen.jsonl").unlink()
    write("one.tar", t.tarred({"cat/1.png": t.png(1), "dog/2.png": t.png(2)}))
    night(19, "one.tar")
    write("one.tar", t.tarred({"cat/1.png": t.png(1), "eel/2.png": t.png(2)}), 3)
    night(20, "one.tar", more=allow)
    night(21, "one.tar", more=["--ingest.classes=[cat, dog, eel]"])
    t.check(took(21) == [("cat/1.png", "cat"), ("eel/2.png", "eel")], f"an archive of a class that was named later: {took(21)}")
    t.check("holds nothing new" in night(22, "one.tar", wanted=65), "an archive is taken again")
    # ranks that see different files: nothing is published
    for rank, n in ((0, 20), (1, 21)):
        for i in range(n):
            write(f"rank{rank}/d/{i}.png", t.png(i))
    run = subprocess.run(["env", "ASAN_OPTIONS=detect_leaks=0", "mpirun", "-n", "1", "-wdir", os.path.abspath("rank0"), binary, "ingest", "d", "--out", os.path.abspath("ranks"), ":",
                          "-n", "1", "-wdir", os.path.abspath("rank1"), binary, "ingest", "d", "--out", os.path.abspath("ranks")], capture_output=True, text=True, check=False)
    t.check(run.returncode != 0 and "has seen other files than rank 0" in run.stderr and not pathlib.Path("ranks").exists(), f"ranks that see other files: {run.returncode} {run.stderr}")
    pathlib.Path("seen.jsonl").unlink()
    for i in range(3000):
        write(f"many/{i}.png", t.png(i))
    with subprocess.Popen([binary, "ingest", "many", "--follow", "seen.jsonl", "--out", "night14"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as job:
        while not pathlib.Path("night14.partial").exists() and job.poll() is None:
            time.sleep(.001)
        job.send_signal(signal.SIGSTOP)
        with pathlib.Path("seen.jsonl").open("a", encoding="utf-8") as f:
            f.write('{"path":"other","bytes":1,"time":1}\n')
        now = pathlib.Path("seen.jsonl").read_bytes()
        job.send_signal(signal.SIGCONT)
        words = job.communicate(timeout=60)[1]
    t.check(job.returncode == 65 and "has changed since it was read" in words, f"two at once: exit {job.returncode}: {words}")
    t.check(pathlib.Path("seen.jsonl").read_bytes() == now and not pathlib.Path("night14").exists(), "two at once: the other's lines are gone")
