#!/usr/bin/python3
"""README.md and docs/*.md, word for word: tests/docs.py ROOT BUILD, in an empty folder (tests/docs.sh makes it).

Commands are lines of indented or fenced blocks, and code spans, that begin with one of STARTS and have an argument. All are run, in
the order in which they stand, in one folder in which the names that they use are made by MAKE the first time that they are wanted;
but for those of EXCEPT, each with its reason, or with what is run in its place. Indented blocks of YAML are read by `augment`. Options and keys that
the text names must exist. A line of EXCEPT, MAKE or FOREIGN that is of no use any more is an error too.
"""
import glob, json, os, pathlib, re, subprocess, sys

root, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
STARTS = ("nightshift", "build/nightshift", "./run", "slurm/", "tests/", "mpirun", "srun", "sbatch", "cmake", "ctest", "spack", "apptainer", "scancel", "squeue")

EXCEPT = {  # command: (in its place, reason); in its place None: not run. The word "+" means the command itself.
    "./run night": (None, "takes minutes and installs packages; what it runs is tests/jobs/night.sh on smaller data"),
    "./run tests": (None, "is what runs this"),
    "./run build": (None, "is what built this"),
    "./run quick": (None, "is a part of what runs this"),
    "slurm/submit.sh --config night.yaml --out nights/2026-05-04 --site site.conf": ("+ --dry-run", "wants a cluster; tests/slurm/night.sh submits"),
    "srun --mpi=pmix -N 2 --ntasks-per-node=2 --gpus-per-task=1 nightshift doctor": ("nightshift doctor", "wants a cluster; tests/slurm/launch.sh runs it there"),
    "nightshift import classifier.onnx --classes '[cat, dog]' --mean '[0.485, 0.456, 0.406]' --std '[0.229, 0.224, 0.225]' --out model":
        (None, "wants a file of a stranger; tests/jobs/import_onnx.sh writes some and imports them"),
    "nightshift import yolox.onnx --task detect --head yolox --classes '[person, car]' --colours bgr --fit corner --fill 114 --filter opencv --range 255 --mean '[0,0,0]' --std '[1,1,1]' --out detector":
        (None, "wants files of a stranger; tests/jobs/predict.sh writes some for each task"),
    "nightshift predict detector photos/ --out found":
        (None, "wants files of a stranger; tests/jobs/predict.sh writes some for each task"),
    "nightshift import det.onnx --task regions --input '[960, 960]' --fit within --filter opencv --colours bgr --out det":
        (None, "wants files of a stranger; tests/jobs/predict.sh writes some for each task"),
    "nightshift import rec.onnx --task read --input '[48, 320]' --fit height --fill 127.5 --filter opencv --colours bgr --mean '[.5,.5,.5]' --std '[.5,.5,.5]' --out rec":
        (None, "wants files of a stranger; tests/jobs/predict.sh writes some for each task"),
    "nightshift predict det scans/ --then rec --csv":
        (None, "wants files of a stranger; tests/jobs/predict.sh writes some for each task"),
    "nightshift train --from model --data set --val held --calibrate held --out tuned":
        (None, "wants a model that came as ONNX; tests/jobs/tune.sh trains some"),
    "nightshift train --data set --model.family vit --model.blocks '[6]' --model.width 128 --model.patch 4 --train.optimizer adamw --out model":
        (None, "is large; tests/jobs/options.sh trains small ones of each family"),
    "srun --mpi=list": (None, "wants a cluster"),
    "srun started N tasks that do not know of each other": (None, "is a message; tests/slurm/launch.sh wants it word for word"),
    "scancel -n nightshift-night": (None, "wants a cluster; tests/slurm/launch.sh and night.sh have the chain"),
    "mpirun -n N": ("mpirun -n 2 nightshift infer --data images --out predictions-of-two", "N is any number"),
    "nightshift VERB --help": ("for v in $verbs; do nightshift $v --help | grep -q \"usage: nightshift $v\" || exit 1; done", "VERB is each of them"),
    "cmake -S . -B build -DNS_TESTS=OFF -DNS_ARCH=x86-64-v4 && cmake --build build && cmake --install build --prefix /apps/nightshift/0.1.0":
        (None, "tests/slurm/install.sh does it under a prefix of its own"),
    "spack install nightshift +cuda cuda_arch=90": (None, "no Spack here; tests/slurm/install.sh reads the recipe"),
    "apptainer build nightshift.sif slurm/install/nightshift.def": (None, "no Apptainer here; tests/slurm/install.sh reads the recipe"),
    "nightshift label --predictions predictions --data images --out queue --label.rows=40":
        ("mkdir flat && n=0 && for f in $(find incoming -name '*.jpg'); do n=$((n + 1)); cp $f flat/$n.jpg; done && "
         "nightshift ingest flat --out flat-images --size 64x64 && nightshift infer --data flat-images --out flat-predictions && "
         "nightshift label --predictions flat-predictions --data flat-images --out queue --label.rows=40", "the reader's images have labels already"),
    "nightshift report --site nights": (None, "wants nights that have ended; tests/jobs/site.sh and tests/year/thirty.sh draw them"),
    "nightshift registry approve DIGEST --why TEXT": (None, "wants a candidate that is held; tests/jobs/trial.sh has one"),
    "nightshift registry rollback production --why TEXT": (None, "wants two promotions; tests/jobs/registry_refs.sh has them"),
    "nightshift import resnet50.safetensors --out model": (None, "wants a file of others' weights; tests/jobs/import.sh writes some"),
    "nightshift registry promote production DIGEST": (None, "wants a model; tests/jobs/registry_refs.sh has some"),
    "nightshift registry accept NIGHTS/0412/changed --why TEXT": (None, "wants an alarm that is open; tests/jobs/release.sh has one"),
    "nightshift registry upgrade PREPARE": (None, "wants a preparation; tests/jobs/release.sh has one"),
    "nightshift registry retain NIGHTS --registry.days=90 --registry.releases=3": (None, "wants a release that names its rows; tests/jobs/release.sh has some"),
    "nightshift registry show trial": (None, "wants a candidate on trial; tests/jobs/trial.sh has them"),
    "tests/gpu.sh prepare": (None, "for a borrowed machine with a GPU"),
    "nightshift train --data outlined --model.task segment --model.family unet --model.input '[256, 256, 3]' --model.width 32 --train.optimizer adamw --out segmenter":
        (None, "wants outlines; jobs.goals trains such networks"),
    "nightshift train --from segmenter --data outlined --train.loss dice --train.epochs 5 --out segmenter-2": (None, "jobs.goals trains such models"),
    "tests/bench/calibration.py NIGHTSHIFT OUT": (None, "bench.calibration runs it, with fewer windows"),
    "tests/bench/drift_peers.sh --rounds 2 --columns 512": (None, "installs the peers and takes an hour"),
    "tests/bench/models.sh --rounds 9": (None, "fetches models of others, and the peer"),
    "tests/bench/peers.sh --rounds 3": (None, "installs the peers and takes hours"),
}

MAKE = {  # a name that commands read, and how the reader comes by it
    "photos/": "images jpeg photos 240 1",
    "incoming/": "images jpeg incoming 150 2",
    "night.yaml": "sed 's/^out:.*//' datasets/demo/night.yaml >night.yaml",
    "site.conf": "cp slurm/site.conf site.conf",
    "answers.jsonl": "sed -n 's/.*\"id\":\"\\([0-9a-f]*\\)\".*/{\"id\": \"\\1\", \"label\": null}/p' queue/queue.jsonl >answers.jsonl",
    "nights/DATE": "nightshift night --config night.yaml --out nights/DATE --plan --night.open",
}

FOREIGN = {  # options of others, or of what is not looked into here
    "slurm's": "--mpi --ntasks --ntasks-per-node --gpus-per-task --cpus-per-task --gres --time --partition --account --nodes --begin --dependency",
    "others'": "--build --install --prefix --nv --bind",
}


def text_of(file):
    """Its lines as ("code", line, block) or ("text", line, None)."""
    fenced, block = False, 0
    for line in (root / file).read_text().splitlines():
        if line.startswith("```"):
            fenced, block = not fenced, block + 1
        elif fenced or re.match(r"    \S", line) or (line.startswith("     ") and last_code):
            last_code = True
            yield "code", line if fenced else line[4:], block
            continue
        else:
            block += 1
            yield "text", line, None
        last_code = False


def is_command(text):
    return text.startswith(STARTS) and len(text.split()) > 1 and not text.split()[0].endswith("/")


commands, yaml, names = [], [], []  # (where, command); (where, text); (where, an option or key, the command that it stands in)
files = ["README.md"] + sorted(str(p.relative_to(root)) for p in root.glob("docs/*.md"))
for file in files:
    blocks = {}
    for number, (kind, line, block) in enumerate(text_of(file), 1):
        where = f"{file}:{number}"
        pieces = [line] if kind == "code" else re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            command = re.sub(r"\s+#( .*)?$", "", piece).strip()
            if is_command(command):
                commands.append((where, command))
            names += [(where, name, command) for name in re.findall(r"(?<![\w-])--[a-z][\w.-]*", piece)]
            names += [(where, name, command) for name in re.findall(r"(?<![\w./-])[a-z]+\.[a-z_0-9]+(?![\w./(*-])", piece)]
        if kind == "code":
            blocks.setdefault(block, (where, []))[1].append(line)
    yaml += [(where, "\n".join(lines) + "\n") for where, lines in blocks.values() if re.match(r"[a-z]+:$", lines[0])]

env = {**os.environ, "PATH": f"{build}:{os.environ['PATH']}", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
problems, made, used, ran, left_out = [], set(), set(), 0, 0


def shell(command):
    return subprocess.run(["bash", "-c", command], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(where, command):
    global ran
    for name in MAKE:
        if name in command.split() and name not in made and f"--out {name}" not in command:
            made.add(name)
            for needed in (n for n in MAKE if n in MAKE[name].split() and n not in made):
                made.add(needed)
                shell(MAKE[needed])
            done = shell(MAKE[name]) if not os.path.exists(name) else None
            if done and done.returncode:
                problems.append(f"tests/docs.py: {name} cannot be made: {MAKE[name]}\n{done.stdout[-600:]}")
    done = shell(command)
    ran += 1
    if done.returncode:
        problems.append(f"{where}: exit {done.returncode}: {command}\n{done.stdout[-600:]}")


for folder in ("slurm", "datasets"):  # from where the reader stands
    os.symlink(root / folder, folder)
verbs = re.findall(r"^  (\w+) ", shell("nightshift --help").stdout, re.M)
env["verbs"] = " ".join(verbs)
helps = {v: shell(f"nightshift {v} --help").stdout for v in verbs}
for v, text in helps.items():  # whatever a verb's help shows as a command
    commands += [(f"nightshift {v} --help", line.strip()) for line in text.splitlines() if re.match(r"\s+nightshift ", line)]

seen = set()
for where, command in commands:
    if command in EXCEPT:
        used.add(command)
        instead, reason = EXCEPT[command]
        if instead is None:
            left_out += 1
            continue
        command = instead.replace("+ ", command + " ", 1) if instead.startswith("+ ") else instead
    if command not in seen:
        run(where, command)
    seen.add(command)
for i, (where, text) in enumerate(yaml):
    pathlib.Path(f"block-{i}.yaml").write_text(text)
    run(where, f"nightshift augment --data images --config block-{i}.yaml --out block-{i}")

# --- names of options and keys ---
keys = set(json.loads(shell("nightshift ingest --dry-run").stdout))
options = {v: set(re.findall(r"^  (--[\w.-]+)", text, re.M)) | {"--config", "--help", "--man"} for v, text in helps.items()}
scripts = "".join(p.read_text() for pattern in ("slurm/*.sh", "run", "tests/**/*.sh", "tests/**/*.py") for p in root.glob(pattern) if p.name != "docs.py")
foreign = set(" ".join(FOREIGN.values()).split())
sections = {k.split(".")[0] for k in keys if "." in k}
wanted_foreign = set()
for where, name, command in names:
    words = command.split()
    if name.startswith("--"):
        verb = words[1] if len(words) > 1 and words[0] == "nightshift" else words[0] if words and words[0] in verbs else None
        if verb in options:
            known = name in options[verb] or (name[2:] in keys and name in "".join(options[verb]))
        elif name in foreign:
            known = bool(wanted_foreign.add(name)) or True
        else:
            known = any(name in o for o in options.values()) or re.search(re.escape(name) + r"(?![\w-])", scripts) or name == "--version"
        if not known:
            problems.append(f"{where}: option {name} does not exist{f' in nightshift {verb}' if verb in options else ''}")
    elif name.split(".")[0] in sections and name not in keys and name.split(".")[1] not in ("html", "json", "jsonl", "yaml", "h5", "c", "h", "md", "sh", "sbatch", "safetensors"):
        problems.append(f"{where}: key {name} does not exist")

problems += [f"tests/docs.py: EXCEPT: no longer in the docs: {c}" for c in EXCEPT if c not in used]
problems += [f"tests/docs.py: MAKE: nothing wants {n} any more" for n in MAKE if n not in made]
problems += [f"tests/docs.py: FOREIGN: no longer in the docs: {n}" for n in sorted(foreign - wanted_foreign)]
for p in problems:
    print("FAILED:", p)
print(f"docs: {len(files)} files, {len(commands)} commands: {ran} runs, {left_out} left out with a reason; {len(names)} options and keys, {len(problems)} problems")
sys.exit(bool(problems))
