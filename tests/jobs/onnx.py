"""ONNX files by another reader and writer, made from protobuf's and ONNX's own descriptions. For onnx.sh.

usage: onnx.py NIGHTSHIFT [PART...], in an empty folder
"""
import collections
import json
import math
import os
import pathlib
import struct
import subprocess
import sys

import tiny
from onnx_file import decode, encode, graph, model, node, small, tensor, value, varint
from tiny import check

NS = None
OFFICIAL = pathlib.Path("/usr/share/libonnx-testdata/data")
TYPES = ["undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64", "uint32", "uint64", "complex64",
         "complex128", "bfloat16"]


def look(data, wanted=0, said="", name="m.onnx"):
    if data is not None:
        pathlib.Path(name).write_bytes(data if isinstance(data, bytes) else encode(data))
    done = subprocess.run([NS, "look", name, "--json"], capture_output=True, text=True, check=False, timeout=60)
    text = done.stdout + done.stderr
    check(done.returncode == wanted and said in text, f"exit {done.returncode}, wanted {wanted} and '{said}': {text[-600:]}")
    return json.loads(done.stdout) if not wanted else text


def all_of(message, field):
    return [v for f, v in message if f == field]


def one_of(message, field, other=b""):
    return (all_of(message, field) or [other])[-1]


def said_of(data):
    """what look must say, of these figures"""
    m = decode(data)
    g = decode(one_of(m, 7))
    nodes = [decode(n) for n in all_of(g, 1)]
    weights = [decode(t) for t in all_of(g, 5)]
    names = {one_of(t, 8) for t in weights}

    def dims(t):
        out = []
        for d in all_of(t, 1):
            if isinstance(d, bytes):
                at = d
                while at:
                    n = shift = 0
                    while True:
                        byte, at = at[0], at[1:]
                        n |= (byte & 127) << shift
                        shift += 7
                        if byte < 128:
                            break
                    out.append(n)
            else:
                out.append(d)
        return out

    def described(info):
        info = decode(info)
        of = decode(one_of(decode(one_of(info, 2)), 1))
        shape = None
        if all_of(of, 2):
            shape = []
            for d in all_of(decode(one_of(of, 2)), 1):
                d = dict(decode(d))
                shape.append(d[1] if 1 in d and d[1] < 1 << 63 else d[2].decode() if d.get(2) else None)
        kind = one_of(of, 1, 0)
        return {"name": one_of(info, 1).decode(), "type": TYPES[kind] if kind else None, "shape": shape}
    count = 0
    for t in weights:
        size = 1
        for d in dims(t):
            size *= d
        count += size
    ops = collections.Counter((one_of(n, 7).decode() + "." if one_of(n, 7) not in (b"", b"ai.onnx") else "") + one_of(n, 4).decode() for n in nodes)
    return {"nodes": len(nodes), "operators": dict(ops), "inputs": sorted((described(v) for v in all_of(g, 11) if one_of(decode(v), 1) not in names), key=str),
            "outputs": sorted((described(v) for v in all_of(g, 12)), key=str), "opsets": {(one_of(decode(o), 1) or b"ai.onnx").decode(): one_of(decode(o), 2, 0) for o in all_of(m, 8)},
            "values": count, "tensors": len(weights)}


def agrees(found, data, what):
    wanted = said_of(data)
    got = {k: found[k] for k in ("nodes", "operators", "opsets")}
    got.update(inputs=sorted(found["inputs"], key=str), outputs=sorted(found["outputs"], key=str), values=found["weights"]["values"], tensors=found["weights"]["tensors"])
    check(got == wanted, f"{what}: {got}, wanted {wanted}")


# --- parts ---

def known(_binary):
    """a small model, said in full"""
    m = small()
    found = look(m)
    agrees(found, encode(m), "a small model")
    check(found["inputs"] == [{"name": "x", "type": "float32", "shape": ["n", 3, 8, 8]}] and found["operators"] == {"Conv": 1, "Relu": 1}, f"{found}")
    check((found["ir_version"], found["producer"], found["graph"], found["weights"]["by_type"]) == (8, "test", "g", {"float32": 12}), f"{found}")
    text = subprocess.run([NS, "look", "m.onnx"], capture_output=True, text=True, check=False).stdout
    for words in ("IR 8, ai.onnx 17, by test 1.0", "inputs   x: float32 [n, 3, 8, 8]", "outputs  y: float32 [n, 4, 4, 4]", "12 values in 1 tensors", "2: Conv 1, Relu 1"):
        check(words in text, f"'{words}' is not in {text}")
    # free dimensions, no shape, no type; an input that is a weight, as files before IR 4 have it; an input that is left out; operators of others
    m = model(graph([node("Clip", ["x", "", "top"], ["y"]), node("Fancy", ["y"], ["z", ""], domain="com.example")],
                    [value("x", [None, -1, "w"]), value("top", [])], [[(1, "z"), (2, [(4, [])])], value("y")], [tensor("top", [], raw=struct.pack("<f", 6))]),
              (("", 11), ("com.example", 1)))
    found = look(m)
    agrees(found, encode(m), "odd values")
    check([v["name"] for v in found["inputs"]] == ["x"] and found["operators"] == {"Clip": 1, "com.example.Fancy": 1} and found["opsets"] == {"ai.onnx": 11, "com.example": 1}, f"{found}")
    # control flow
    inner = graph([node("Add", ["a", "b"], ["c"]), node("If", ["c"], ["d"], attributes=[[(1, "then_branch"), (6, graph([node("Mul", ["c"], ["e"])], [], [])), (20, 5)]])], [], [])
    found = look(small(nodes=[node("Loop", ["x"], ["y"], attributes=[[(1, "body"), (6, inner), (20, 5)]])]))
    check(found["nested_operators"] == {"Add": 1, "If": 1, "Mul": 1} and found["operators"] == {"Loop": 1}, f"{found}")
    check(tiny.run(NS, ["look", "m.onnx", "--out", "page"], ".").code == 64 and not pathlib.Path("page").exists(), "a page of a model")
    tiny.run(NS, ["import", "m.onnx", "--out", "x"], ".")
    check(not pathlib.Path("x").exists(), "something was made of it")


def i64(name, *values):
    return tensor(name, [len(values)] if len(values) != 1 else [1], 7, raw=struct.pack(f"<{len(values)}q", *values))


def graphs(_binary):
    """the graph that would be computed, or everything that stands in the way, at once"""
    computes = look(small())["computes"]
    check(computes == {"graph": {"ops": {"convolve": 1, "pointwise": 1}, "count": 2, "multiply_adds": 4 * 4 * 4 * 3}, "refused": None, "unknown_operators": []}, f"{computes}")
    text = subprocess.run([NS, "look", "m.onnx"], capture_output=True, text=True, check=False).stdout
    check("computes 2 ops of one image" in text and "convolve 1, pointwise 1" in text, text)
    # hard-swish in four nodes, and what scales it, are one program; a value that two read is stored
    c = lambda name, x: tensor(name, [], raw=struct.pack("<f", x))
    chain = [node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "none", "six"], ["b"]), node("Mul", ["x", "b"], ["c"]), node("Div", ["c", "six"], ["d"]), node("Mul", ["d", "s"], ["y"])]
    weights_of = [c("three", 3), c("none", 0), c("six", 6), tensor("s", [3, 1, 1], raw=bytes(12))]
    found = look(model(graph(chain, [value("x", [1, 3, 8, 8])], [value("y")], weights_of)))["computes"]["graph"]
    check(found["ops"] == {"pointwise": 1}, f"{found}")
    found = look(model(graph(chain, [value("x", [1, 3, 8, 8])], [value("y"), value("c")], weights_of)))["computes"]["graph"]
    check(found["ops"] == {"pointwise": 2}, f"{found}")
    # what scales and shifts channels after a convolution goes into its weights; not what is an output, has another reader, or is no line
    by_channel = [tensor(n, [4], raw=struct.pack("<4f", 1, 2, 3, 4)) for n in ("scale", "shift", "mean", "var")]
    conv = node("Conv", ["x", "w"], ["h"])
    w = tensor("w", [4, 3, 1, 1], raw=bytes(48))
    norm = node("BatchNormalization", ["h", "scale", "shift", "mean", "var"], ["n"])

    def ops(nodes, outputs, more=()):
        return look(model(graph(nodes, [value("x", [1, 3, 8, 8])], [value(o) for o in outputs], [w, *by_channel, *more])))["computes"]["graph"]["ops"]
    check(ops([conv, norm, node("Mul", ["n", "two"], ["y"])], ["y"], [c("two", 2)]) == {"convolve": 1}, "a line of channels")
    check(ops([conv, norm], ["n", "h"]) == {"convolve": 1, "pointwise": 1}, "of an output")
    check(ops([conv, norm, node("Exp", ["h"], ["y"])], ["n", "y"]) == {"convolve": 1, "pointwise": 2}, "of another reader")
    check(ops([conv, node("Relu", ["h"], ["r"]), node("Mul", ["r", "two"], ["y"])], ["y"], [c("two", 2)]) == {"convolve": 1, "pointwise": 1}, "no line")
    check(ops([conv, node("Mul", ["h", "h"], ["y"])], ["y"]) == {"convolve": 1, "pointwise": 1}, "a square")
    check(ops([conv, node("Add", ["h", "places"], ["y"])], ["y"], [tensor("places", [8, 8], raw=bytes(256))]) == {"convolve": 1, "pointwise": 1}, "by places")
    # what two read goes into one of them once the other is in it
    found = look(model(graph([node("Exp", ["x"], ["a"]), node("Neg", ["a"], ["b"]), node("Add", ["a", "b"], ["y"])], [value("x", [1, 3])], [value("y")])))["computes"]["graph"]
    check(found["ops"] == {"pointwise": 1}, f"{found}")
    # shapes that are computed are constants and go: what is left is a view, which is no op
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Concat", ["n", "rest"], ["to"], attributes=[[(1, "axis"), (3, 0), (20, 2)]]),
             node("Reshape", ["x", "to"], ["y"])]
    found = look(model(graph(nodes, [value("x", ["n", 3, 8, 8])], [value("y")], [i64("zero", 0), i64("rest", -1)])))["computes"]
    check(found["graph"] == {"ops": {}, "count": 0, "multiply_adds": 0}, f"{found}")
    # all at once, each with its reason
    nodes = [node("Fancy", ["x"], ["a"], "one"), node("NonZero", ["x"], ["b"], "two"), node("Relu", ["a"], ["c"]),
             node("Relu", ["x"], ["d"], "four", domain="com.example"), node("Elu", ["x"], ["e"], "five", [[(1, "beta"), (2, 1.0), (20, 1)]])]
    found = look(model(graph(nodes, [value("x", [1, 3])], [value("c")])))["computes"]
    for words in ("4 of its 5 nodes", "node 0 (Fancy one): the operator", "node 1 (NonZero two): its shape depends on values", "node 3 (Relu four): the domain 'com.example'",
                  "node 4 (Elu five): attribute 'beta'"):
        check(words in found["refused"], f"'{words}' is not in {found['refused']}")
    check(found["unknown_operators"] == ["Fancy", "Relu"], f"{found}")
    # a size that is not said: operators alone
    found = look(model(graph([node("Relu", ["x"], ["y"]), node("Fancy", ["y"], ["z"])], [value("x", ["n", 3, "h", "w"])], [value("z")])))["computes"]
    check(found == {"graph": None, "refused": None, "unknown_operators": ["Fancy"]}, f"{found}")

    def refused(said, nodes, weights=(), x=(1, 3, 8, 8), kind=1):
        found = look(model(graph(nodes, [value("x", list(x), kind)], [value("y")], weights)))["computes"]["refused"]
        check(found and said in found, f"'{said}' is not in {found}")
    axis = lambda kind, field, v: [[(1, "axis"), (field, v), (20, kind)]]
    refused("node 0 (Softmax): attribute 'axis' is not a whole number", [node("Softmax", ["x"], ["y"], attributes=axis(1, 2, 1.0))])
    refused("axis 4 of 4", [node("Softmax", ["x"], ["y"], attributes=axis(2, 3, 4))])
    refused("1 inputs, expected 2 to 2", [node("Add", ["x"], ["y"])])
    refused("shapes do not go together: 8 and 3", [node("Add", ["x", "w"], ["y"])], [tensor("w", [3], raw=bytes(12))])
    refused("matrices do not go together: 8 columns and 3 rows", [node("MatMul", ["x", "w"], ["y"])], [tensor("w", [3, 2], raw=bytes(24))])
    refused("192 elements do not divide into 5", [node("Reshape", ["x", "to"], ["y"])], [i64("to", 5, -1)])
    refused("index: 9 is outside of an axis of 3", [node("Gather", ["w", "i"], ["y"])], [tensor("w", [3], raw=bytes(12)), i64("i", 9)])
    # types that do not go together would be read beyond their end
    refused("are not all of float32", [node("Conv", ["x", "w"], ["y"])], [tensor("w", [4, 3, 1, 1], 2, raw=bytes(12))])
    refused("matrices of float32 and of uint8", [node("MatMul", ["x", "w"], ["y"])], [tensor("w", [8, 2], 2, raw=bytes(16))])
    refused("is of uint8", [node("LSTM", ["x", "w", "r"], ["y"])], [tensor("w", [1, 8, 3], 2, raw=bytes(24)), tensor("r", [1, 8, 2], 2, raw=bytes(16))], (4, 1, 3))
    refused("updates of uint8", [node("ScatterND", ["x", "i", "u"], ["y"])], [tensor("i", [1, 1], 7, raw=bytes(8)), tensor("u", [1, 3, 8, 8], 2, raw=bytes(192))])
    # a few nodes may ask for any amount of memory or time
    refused("more than", [node("ConstantOfShape", ["s"], ["y"])], [i64("s", 1 << 40, 1 << 20)])
    refused("MiB", [node("ConstantOfShape", ["s"], ["y"])], [i64("s", 1 << 20, 1 << 20)])
    refused("steps to compute", [node("ConstantOfShape", ["s"], ["a"]), node("MatMul", ["a", "a"], ["y"])], [i64("s", 4096, 4096)])


def edges(_binary):
    """each of these once read or wrote beyond an end, or had no end; all that they read is known, so look computes them or says why not"""
    f32 = lambda name, *dims: tensor(name, dims, raw=bytes(4 * math.prod(dims)))
    ints = lambda name, *values: attribute(name, 7, *((8, v) for v in values))
    one = lambda name, v: attribute(name, 2, (3, v))
    text = lambda name, v: attribute(name, 3, (4, v))

    def said(words, nodes, weights, outputs=("y",), opset=18):
        found = look(model(graph(nodes, [], [value(o) for o in outputs], weights), (("", opset),)))["computes"]
        check(found["graph"] if not words else found["refused"] and words in found["refused"], f"'{words}' is not in {found}")
    said("input 1 is left out", [node("Max", ["a", "", "b"], ["y"])], [f32("a", 2), f32("b", 2, 1)])
    said("output 1", [node("Relu", ["a"], ["y", "z"])], [f32("a", 2)], ("z",))
    said("batches of 1000 and of 2", [node("GatherND", ["a", "i"], ["y"], attributes=[one("batch_dims", 1)])], [f32("a", 2, 3), tensor("i", [1000, 1, 1], 7, raw=bytes(8000))])
    said("has 8 axes, expected 3", [node("LSTM", ["x", "w", "r", "", "", "h"], ["y"], attributes=[one("hidden_size", 2), one("layout", 1)])],
         [f32("x", 1, 3, 2), f32("w", 1, 8, 2), f32("r", 1, 8, 2), f32("h", 1, 1, 1, 1, 1, 1, 1, 2)])
    said("output_shape of 0 axes", [node("MaxUnpool", ["x", "i", "s"], ["y"], attributes=[ints("kernel_shape", 2, 2), ints("strides", 2, 2)])],
         [f32("x", 1, 1, 2, 2), tensor("i", [1, 1, 2, 2], 7, raw=struct.pack("<4q", 0, 2, 8, 10)), tensor("s", [0], 7, raw=b"")])
    said("", [node("Slice", ["x", "s", "e", "a", "t"], ["y"])], [f32("x", 0), i64("s", -1), i64("e", -100), i64("a", 0), i64("t", -1)])
    said("", [node("Slice", ["x", "s", "e", "a", "t"], ["y"])], [f32("x", 4), i64("s", 0), i64("e", 4), i64("a", 0), i64("t", (1 << 63) - 1)])
    said("", [node("Einsum", ["a", "b"], ["y"], attributes=[text("equation", "abcd,efgh")])], [f32("a", 1, 1, 2, 2), f32("b", 1, 2, 2, 2)])
    said("more than 8 axes", [node("Einsum", ["a", "b"], ["y"], attributes=[text("equation", "...,abcdefgh->abcdefgh...")])], [f32("a", *[1] * 8), f32("b", *[1] * 8)])
    said("part 1 is", [node("Split", ["x", "s"], ["y", "z"])], [f32("x", 4), i64("s", 2, (1 << 63) - 1)])
    said("groups", [node("Conv", ["x", "w"], ["y"], attributes=[one("group", 1 << 62)])], [f32("x", 1, 0, 2, 2), f32("w", 0, 4, 1, 1)])
    said("", [node("RoiAlign", ["x", "r", "b"], ["y"])], [f32("x", 1, 1, 4, 4), tensor("r", [1, 4], raw=struct.pack("<4f", 0, 0, 65000, 65000)), i64("b", 0)])
    said("windows of more than", [node("AveragePool", ["x"], ["y"], attributes=[ints("kernel_shape", *[1 << 27] * 3), ints("pads", *[1 << 26] * 6)])], [f32("x", 1, 1, 1, 1, 1)])
    # tensors without elements take no time either
    for op, sizes, more in (("Trilu", (1 << 44, 0), []), ("EyeLike", (1 << 44, 0), []), ("Softmax", (1 << 44, 0), []), ("CumSum", (1 << 40, 0), ["k"]), ("NonZero", (1 << 40, 0), [])):
        found = look(model(graph([node("ConstantOfShape", ["s"], ["x"]), node(op, ["x", *more], ["y"])], [], [value("y")], [i64("s", *sizes), i64("k", 0)])))["computes"]
        check(found["graph"] or found["refused"], f"{op} of nothing: {found}")
    # values of two kinds in one attribute, whose numbers were taken for each other's places
    both = [(1, "value_ints"), *((7, 1.0) for _ in range(5)), (8, 1), (20, 7)]
    look(model(graph([node("Constant", [], ["y"], attributes=[both])], [], [value("y")])), 65, "an attribute with values of two kinds")
    look(model(graph([node("Relu", ["a"], ["y"])], [], [value("y")], [tensor("a", [0, 1 << 62, 1 << 62], raw=b"")])), 65, "which no tensor has")


def attribute(name, kind, *fields):
    return [(1, name), *fields, (20, kind)]


def weights(_binary):
    """each way in which values are written is counted, and what is not as many as the shape has is refused"""
    packed = lambda *values: b"".join(varint(v) for v in values)
    fine = [tensor("w", [2, 2], 1, raw=bytes(16)), tensor("w", [2, 2], 1, more=[(4, struct.pack("<4f", *range(4)))]), tensor("w", [3], 7, more=[(7, packed(1, -1, 300))]),
            tensor("w", [3], 6, more=[(5, packed(1, 2, 3))]), tensor("w", [2], 10, more=[(5, packed(0x3c00, 0))]), tensor("w", [2], 16, raw=bytes(4)),
            tensor("w", [2], 11, more=[(10, struct.pack("<2d", 1, 2))]), tensor("w", [2], 13, more=[(11, packed(1, 2))]), tensor("w", [1], 14, more=[(4, struct.pack("<2f", 1, 2))]),
            tensor("w", [2], 8, more=[(6, b"a"), (6, b"bc")]), tensor("w", [], 1, raw=bytes(4)), tensor("w", [0], 1), tensor("w", [0, 5], 1, raw=b""), tensor("w", [3], 22, raw=bytes(2)),
            tensor("w", [2], 7, more=[(7, 5), (7, 6)]), [(1, varint(2) + varint(3)), (2, 1), (8, "w"), (9, bytes(24))]]
    for i, t in enumerate(fine):
        m = small(weights=[t])
        found = look(m)
        check(found["weights"]["values"] == said_of(encode(m))["values"], f"weights {i}: {found['weights']}")
    bad = [(tensor("w", [2, 2], 1, raw=bytes(15)), "15 bytes, expected 16"), (tensor("w", [4], 1), "has 0 values of float32, expected 4"),
           (tensor("w", [2], 1, more=[(4, struct.pack("<3f", 1, 2, 3))]), "has 3 values"), (tensor("w", [2], 1, more=[(7, packed(1, 2))]), "in field 7, expected 4"),
           (tensor("w", [2], 1, raw=bytes(8), more=[(4, bytes(8))]), "values twice"), (tensor("w", [2], 8, raw=bytes(8)), "of string"),
           (tensor("w", [2], 0, raw=bytes(8)), "of type 0"), (tensor("w", [2], 99, raw=bytes(8)), "of type 99"), (tensor("w", [-1], 1, raw=bytes(4)), "which no tensor has"),
           (tensor("w", [1 << 40, 1 << 40], 1, raw=bytes(4)), "which no tensor has"), (tensor("w", [1] * 9, 1, raw=bytes(4)), "more than 8 dimensions"),
           (tensor("w", [1], 1, more=[(4, bytes(5))]), "has -1 values"), (tensor("", [1], 1, raw=bytes(4)), "without a name")]
    for t, said in bad:
        look(small(weights=[t]), 65, said)
    look(small(weights=[tensor("w", [1], raw=bytes(4)), tensor("w", [1], raw=bytes(4))]), 65, "weight 'w' is there twice")


def wrong(_binary):
    """names, order, and bytes"""
    w = [tensor("w", [4, 3, 1, 1], raw=bytes(48))]
    x, y = [value("x")], [value("y")]
    for what, g, said in (
            ("a cycle", graph([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])], x, y), "'b' is made by no node before it"),
            ("itself", graph([node("Relu", ["y"], ["y"])], x, y), "'y' is made by no node"),
            ("a dangling name", graph([node("Relu", ["nothing"], ["y"], "here")], x, y), "node 0 (Relu here): 'nothing' is made by no node"),
            ("made twice", graph([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])], x, y), "'y' is made a second time"),
            ("an input made again", graph([node("Relu", ["x"], ["x"])], x, y), "'x' is made a second time"),
            ("a weight made again", graph([node("Relu", ["x"], ["w"])], x, y, w), "'w' is made a second time"),
            ("no output", graph([node("Relu", ["x"], ["z"])], x, y), "output 'y' is made by no node"),
            ("an input twice", graph([node("Relu", ["x"], ["y"])], x + x, y), "'x' is declared twice"),
            ("no operator", graph([[(1, "x"), (2, "y")]], x, y), "a node without an operator"),
            ("a nameless value", graph([node("Relu", ["x"], ["y"])], [[(2, [])]], y), "a value without a name"),
            ("a nameless attribute", graph([node("Relu", ["x"], ["y"], attributes=[[(3, 1)]])], x, y), "an attribute without a name")):
        text = look(model(g), 65, said)
        check("m.onnx" in text, f"{what}: {text}")
    whole = encode(small())
    look(b"", 65, "is empty")
    look(b"\x0a", 65, "ends beyond")
    look(b"\x08\x08", 65, "no graph")
    look(encode([(1, 8), (7, graph([], [], []))]), 65, "no opset")
    look(whole + encode([(7, graph([], [], []))]), 65, "a second graph")
    look(b"\x0b" + whole, 65, "wire type 3")
    look(b"\x00" + whole, 65, "no field begins here")
    look(b"\x08" + b"\xff" * 11, 65, "does not end")
    look(b"\x08" + b"\xff" * 9 + b"\x03", 65, "does not end")  # more than 64 bits
    look(b"\x3a" + varint(1 << 62) + whole, 65, "ends beyond")
    look(small(nodes=[node("Conv", ["x", b"\xff\xfe".decode("latin1")], ["y"])]), 65, "is made by no node")
    look(encode(small()).replace(b"Relu", b"Re\x1bu"), 65, "is no text")
    look(encode(small()).replace(b"Relu", b"Re\xc3u"), 65, "is no text")
    # cut off anywhere it is refused, or what is left is a model of its own; a byte changed anywhere ends as well
    for cut in range(len(whole)):
        pathlib.Path("cut.onnx").write_bytes(whole[:cut])
        done = subprocess.run([NS, "look", "cut.onnx"], capture_output=True, text=True, check=False, timeout=60)
        check(done.returncode == 65, f"cut after {cut} of {len(whole)} bytes: exit {done.returncode}: {done.stderr}")


def outside(_binary):
    """weights in other files: plain names in the same folder, within the file, apart from each other"""
    pathlib.Path("w.bin").write_bytes(bytes(64))
    pathlib.Path("sub").mkdir(exist_ok=True)
    pathlib.Path("sub/w.bin").write_bytes(bytes(64))
    os.symlink("sub/w.bin", "link.bin")

    def ext(name, location, offset=None, length=None, dims=(4,)):
        more = [(13, [(1, "location"), (2, location)]), *([(13, [(1, "offset"), (2, str(offset))])] if offset is not None else []),
                *([(13, [(1, "length"), (2, str(length))])] if length is not None else []), (14, 1)]
        return tensor(name, dims, more=more)
    one = lambda *a, **k: small(weights=[ext("w", *a, **k)], nodes=[node("Relu", ["x"], ["y"])])
    check(look(one("w.bin", 48, 16))["weights"]["external_bytes"] == 16, "the last bytes of the file")
    look(one("w.bin"))
    two = lambda a, b: small(weights=[ext("w", "w.bin", a, 16), ext("v", "w.bin", b, 16)], nodes=[node("Relu", ["x"], ["y"])])
    check(look(two(0, 16))["weights"]["external_bytes"] == 32, "two, one after the other")
    look(two(0, 0))  # tied weights
    look(two(0, 8), 65, "overlap")
    for location in ("../w.bin", "sub/w.bin", "/etc/passwd", "..", ".hidden", "a\\b"):
        look(one(location), 65, "expected a plain name in the same folder")
    look(one("link.bin"), 74)
    look(one("nothing.bin"), 74, "nothing.bin")
    look(one("w.bin", 49, 16), 65, "has 64")
    look(one("w.bin", 0, 15), 65, "16 bytes of float32")
    look(one("w.bin", dims=(1 << 40,)), 65, "has 64")
    look(one("w.bin", "1x"), 65, "expected a number")
    look(one("w.bin", "99999999999999999999999"), 65, "expected a number")
    both = small(weights=[ext("w", "w.bin") + [(9, bytes(16))]], nodes=[node("Relu", ["x"], ["y"])])
    look(both, 65, "values here and in a file")


def deep(_binary):
    """graphs in graphs end soon, and a great many nodes are read (look() has a limit of time)"""
    data = encode(graph([], [], []))
    for _ in range(2000):  # by bytes, as Python has its own limit
        attribute = varint(1 << 3 | 2) + varint(1) + b"b" + varint(6 << 3 | 2) + varint(len(data)) + data
        body = varint(4 << 3 | 2) + varint(2) + b"If" + varint(5 << 3 | 2) + varint(len(attribute)) + attribute
        data = varint(1 << 3 | 2) + varint(len(body)) + body
    look(varint(8 << 3 | 2) + varint(2) + b"\x10\x11" + varint(7 << 3 | 2) + varint(len(data)) + data, 65, "nested more than")
    many = model(graph([node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(100000)], [value("v0")], [value("v100000")]))
    check(look(many)["nodes"] == 100000, "a hundred thousand nodes")


def official(_binary):
    """ONNX's own operator tests against another reader: every fifth, or all where the part is asked for by name"""
    if not OFFICIAL.exists():
        print("SKIPPED: ONNX's operator tests: libonnx-testdata is not installed")
        return
    ops, files = collections.Counter(), sorted(OFFICIAL.rglob("model.onnx"))[::1 if "official" in sys.argv else 5]
    for path in files:
        done = subprocess.run([NS, "look", str(path), "--json"], capture_output=True, text=True, check=False, timeout=60)
        check(done.returncode == 0, f"{path}: {done.stderr}")
        found = json.loads(done.stdout)
        agrees(found, path.read_bytes(), str(path))
        ops.update(found["operators"].keys())
    check(len(files) > 180 and len(ops) > 100, f"{len(files)} files of {len(ops)} operators")
    print(f"{len(files)} of ONNX's own files, {len(ops)} operators, read as another reader does")


if __name__ == "__main__":
    NS, *parts = sys.argv[1:]
    for part in tiny.chosen((known, graphs, edges, weights, wrong, outside, deep, official), parts):
        part(NS)
    print(f"{tiny.checks} checks passed")
