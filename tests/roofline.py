"""
What nvcc made of the kernels, read without a GPU: registers, shared memory, spills and occupancy of every one, and for those
that are bound by memory the instructions an element, hence the rate at which issuing them would be the limit beside the rate
at which memory is. Called by tests/roofline.sh: roofline.py FOLDER, with FOLDER/*.log (ptxas -v) and FOLDER/*.sass
(cuobjdump -sass), each compiled for several architectures.

Instructions are counted on a path through the machine code: of the innermost loop that moves the most bytes, else of the whole
kernel, the path that moves the most bytes of global memory, and of those the shortest. That is the path of whole vectors inside
the arrays; borders and tails cost more. What is data-dependent beyond that is fixed in tests/roofline_probe.cu.
"""
import re, subprocess, sys
from pathlib import Path

# an H200: multiprocessors, warp instructions a cycle each, Hz, bytes/s of a copy measured on such a machine
SM, ISSUE, CLOCK, COPY = 132, 4, 1.98e9, 4.3e12
INT_LANES = 64  # integer and logic instructions a cycle of a multiprocessor; the two halves of a warp take turns

# kernel (as c++filt names it), threads a block, how an element is counted, its bytes there, and all bytes it moves
MEMORY_BOUND = [
    ("ema<1>", 256, "store", 4, 12, "y = a y + b x, f32"),
    ("sgd<1>", 256, "store", 8, 20, "SGD, f32"),
    ("adamw<1>", 256, "store", 12, 28, "AdamW, f32"),
    ("norm2_stretches", 256, "load", 4, 4, "squared norm, f32"),
    ("norm_moments<ns_bf16, 8>", 256, "load", 2, 2, "normalisation: moments, bf16 (the second pass is served by the cache)"),
    ("norm_apply<ns_bf16, 8>", 256, "store", 2, 6, "normalisation or bias, residual, ReLU, bf16"),
    ("norm_back_sums<ns_bf16, 8>", 256, "load", 8, 8, "normalisation backward: sums of two gradients, bf16"),
    ("norm_back_apply<ns_bf16, ns_bf16, 8>", 256, "store", 4, 12, "normalisation backward: apply, two gradients, residual, bf16"),
    ("convert<ns_bf16, float, 8>", 256, "store", 4, 6, "bf16 to f32"),
    ("augment_pass<ns_bf16, 3, 3, 8, 1, 1>", 128, "store", 6, 9, "augmentation: crop, flip, to bf16, a pixel"),
    ("augment_pass<ns_bf16, 3, 3, 8, 1, 2>", 128, "store", 6, 9, "augmentation: affine, colour, to bf16, a pixel"),
    ("augment_pass<unsigned char, 3, 3, 8, 1, 2>", 128, "store", 3, 6, "augmentation: affine, colour, to u8, a pixel"),
    ("augment_pass<ns_bf16, 3, 1, 8, 1, 2>", 128, "store", 6, 9, "augmentation of large images: affine, colour, to bf16, a pixel"),
    ("make_keys", 256, "store", 4, 8, "KS: keys"),
    ("count_digits", 256, "load", 4, 4, "KS: digits counted"),
    ("scatter", 256, "store", 4, 8, "KS: values scattered"),
    ("stats", 256, "load", 27, 3, "image statistics, RGB, a pixel (its neighbours come from the cache)"),
]

# where instructions are the limit: what they are spent on
IN_THE_WAY = {
    "augment_pass<ns_bf16, 3, 3, 8, 1, 2>": "interpolation 23, colour 15, normalisation 11, coordinates 10, loading the image 7, addresses and stores",
    "augment_pass<unsigned char, 3, 3, 8, 1, 2>": "the same work for half the bytes",
    "augment_pass<ns_bf16, 3, 1, 8, 1, 2>": "pixels are cut out of unaligned words, without shared memory",
    "scatter": "rank within a warp by eight votes, stable",
    "stats": "luma of nine neighbours is made again for each pixel; still 40 M images of 64 x 64 a second",
}


class Code:
    """one function: instructions by address, edges, paths"""

    def __init__(self, lines):
        self.at, self.ops = [], {}
        region = {}
        self.next = {}
        for address, guard, op, rest in lines:
            self.at.append(address)
            self.ops[address] = (guard, op, rest)
        for i, address in enumerate(self.at):
            guard, op, rest = self.ops[address]
            after = self.at[i + 1 : i + 2]
            target = re.search(r"0x([0-9a-f]+)\s*$", rest)
            kind = op.split(".")[0]
            if kind == "BSSY":
                region[rest.split(",")[0].strip()] = int(target[1], 16)
            if kind in ("EXIT", "RET", "KILL"):
                after = after if guard else []
            elif kind == "BSYNC" and rest.strip() in region and region[rest.strip()] in self.ops:
                after = [region[rest.strip()]]
            elif kind == "BRA" and target and ".DIV" not in op:
                conditional = guard or ".U" in op or "P" in rest.split("0x")[0]
                after = [int(target[1], 16)] + (after if conditional else [])
            self.next[address] = [a for a in dict.fromkeys(after) if a in self.ops]
        self.order, self.back = self.walk()

    def walk(self):
        """reverse postorder of what can be reached, and the edges that close loops"""
        order, back, state = [], set(), {}
        stack = [(self.at[0], iter(self.next[self.at[0]]))]
        state[self.at[0]] = 1
        while stack:
            here, edges = stack[-1]
            for to in edges:
                if state.get(to) == 1:
                    back.add((here, to))
                elif to not in state:
                    state[to] = 1
                    stack.append((to, iter(self.next[to])))
                    break
            else:
                state[here] = 2
                order.append(here)
                stack.pop()
        return order[::-1], back

    def moved(self, address, kinds):
        op = self.ops[address][1].split(".")
        if op[0] not in kinds:
            return 0
        return 16 if "128" in op else 8 if "64" in op[2:] else 1 if {"U8", "S8"} & set(op) else 2 if {"U16", "S16"} & set(op) else 4

    def loop(self, tail, head):
        """the instructions of the loop that an edge closes"""
        inside, todo = {head, tail}, [tail]
        before = {}
        for a in self.order:
            for b in self.next[a]:
                before.setdefault(b, []).append(a)
        while todo:
            here = todo.pop()
            if here == head:
                continue
            for a in before.get(here, []):
                if a not in inside:
                    inside.add(a)
                    todo.append(a)
        return inside

    def path(self, first, last, inside, kinds):
        """(bytes, instructions) from first to last (None: any end): the most bytes, then the fewest instructions"""
        best, come = {first: (self.moved(first, kinds), -1)}, {first: None}
        ends = []
        for a in self.order:
            if a not in best or a not in inside:
                continue
            followers = [b for b in self.next[a] if (a, b) not in self.back and b in inside]
            if a == last or (last is None and not followers):
                ends.append(a)
            for b in followers:
                score = (best[a][0] + self.moved(b, kinds), best[a][1] - 1)
                if b not in best or score > best[b]:
                    best[b], come[b] = score, a
        end = max(ends, key=lambda a: best[a])
        steps, a = [], end
        while a is not None:
            steps.append(a)
            a = come[a]
        return best[end][0], len(steps), steps

    def hot(self, kinds, counted):
        everything = set(self.order)
        loops = []
        for tail, head in self.back:
            body = self.loop(tail, head)
            if not any(t in body and h in body for t, h in self.back if (t, h) != (tail, head)):  # innermost
                loops.append(self.path(head, tail, body, kinds))
        loops = [p for p in loops if any(self.moved(a, counted) for a in p[2])]
        best = max(loops, key=lambda p: (p[0], -p[1]), default=(0, 0, []))
        return (best, "loop") if best[0] else (self.path(self.at[0], None, everything, kinds), "kernel")


INTEGER = re.compile(r"^(IADD3|LOP3|PLOP3|SHF|LEA|ISETP|IMNMX|VIMNMX|SEL|PRMT|I2F|I2FP|F2I|FSETP|FMNMX|FSEL|IABS|POPC|LOP|SHL|SHR|VIADD|VIADDMNMX|BFE|SGXT|BMSK)\b")


def functions(path):
    name, arch, lines, out = None, None, [], []
    for line in open(path):
        if m := re.search(r"Function : (\S+)", line):
            if name:
                out.append((name, arch, lines))
            name, lines = m[1], []
        elif m := re.search(r"code for (sm_\d+)", line):
            if name:
                out.append((name, arch, lines))
            name, arch = None, m[1]
        elif m := re.match(r"\s+/\*([0-9a-f]{4,5})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][A-Z0-9_.]*)\s*(.*?)\s*;", line):
            lines.append((int(m[1], 16), m[2], m[3], m[4]))
    if name:
        out.append((name, arch, lines))
    return out


def resources(path):
    rows, name, bad = [], None, False
    text = open(path).read()
    if re.search(r"\berror\b", text):
        print(text)
        bad = True
    for line in text.splitlines():
        if m := re.search(r"Compiling entry function '(\S+)' for '(\S+)'", line):
            name, arch = m.groups()
        elif m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            frame, spills = int(m[1]), int(m[2]) + int(m[3])
        elif (m := re.search(r"Used (\d+) registers", line)) and name:
            shared = re.search(r"(\d+) bytes smem", line)
            rows.append([name, re.sub(r"\D*(\d+)\w*$", r"sm_\1", arch), int(m[1]), int(shared[1]) if shared else 0, frame, spills])
            name = None
    return rows, bad


def occupancy(registers, shared, threads, arch):
    """warps of 64 that a multiprocessor holds: registers are dealt out 256 at a time to a warp, shared memory after 1 KiB a block"""
    memory = {"sm_80": 164, "sm_90": 228, "sm_100": 228}[arch] * 1024
    warps = threads // 32
    by_registers = 65536 // (-(-registers * 32 // 256) * 256) // warps
    blocks = min(by_registers, memory // (shared + 1024), 64 // warps, 32)
    return 100 * blocks * warps // 64


def shorten(names):
    full = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True).stdout.split("\n")
    return {n: re.sub(r"\(.*", "", re.sub(r"^void |\(anonymous namespace\)::|\((?:int|unsigned int)\)", "", f)) for n, f in zip(names, full)}


def main():
    folder = Path(sys.argv[1])
    rows, bad = [], False
    for log in sorted(folder.glob("*.log")):
        more, wrong = resources(log)
        rows, bad = rows + more, bad or wrong
    code = [f for sass in sorted(folder.glob("*.sass")) for f in functions(sass)]
    short = shorten(sorted({r[0] for r in rows} | {c[0] for c in code}))
    threads = {k: t for k, t, *_ in MEMORY_BOUND}
    rows = list({(r[0], r[1]): r for r in rows}.values())  # a template that two files use
    print(f"{'kernel':64} {'arch':7} regs shared stack spills occupancy")
    for r in sorted(rows, key=lambda r: (r[1], short[r[0]])):
        n = short[r[0]]
        print(f"{n[:64]:64} {r[1]:7} {r[2]:4} {r[3]:6} {r[4]:5} {r[5]:6} {occupancy(r[2], r[3], threads.get(n, 256), r[1]):7} %"
              f"{'   SPILL' if r[5] else ''}")
        bad |= r[5] > 0
    print(f"{len(rows)} kernels; occupancy by registers and static shared memory, 256 threads a block")
    if not code:
        print("no cuobjdump: instructions are not counted")
        sys.exit(bad or not rows)
    print("\nInstructions an element, and what they would allow on an H200 (132 x 4 warp instructions a cycle at 1.98 GHz; integer and logic\n"
          "at half of that) beside a copy at 4.3 TB/s: below 1 it is instructions that limit.\n")
    print(f"{'':70} {'arch':7} {'where':6} instr. integer  elements/s by issue  by memory  ratio")
    for kernel, _, count, each, moved, what in MEMORY_BOUND:
        found = list({a: Code(l) for n, a, l in code if short[n] == kernel}.items())
        if not found:
            print(f"{what:70} NOT FOUND: {kernel}")
            bad = True
        for arch, c in sorted(found, key=lambda f: int(f[0][3:])):
            counted = {"store": {"STG"}, "load": {"LDG"}}[count]
            (_, n, steps), where = c.hot({"STG", "LDG"}, counted)
            elements = sum(c.moved(a, counted) for a in steps) / each
            integer = sum(bool(INTEGER.match(c.ops[a][1])) for a in steps)
            slots = max(n, integer * (128 / INT_LANES))  # a warp of integer work occupies its pipe twice as long
            issue, memory = SM * ISSUE * CLOCK * 32 * elements / slots, COPY / moved
            print(f"{what[:70]:70} {arch:7} {where:6} {n / elements:6.1f} {integer / elements:7.1f}  {issue:19.3g} {memory:10.3g} {issue / memory:6.1f}"
                  f"{'' if issue > memory else '   instructions: ' + IN_THE_WAY.get(kernel, 'NOT SAID')}")
            bad |= issue <= memory and kernel not in IN_THE_WAY
    sys.exit(bad or not rows)


if __name__ == "__main__":
    main()
