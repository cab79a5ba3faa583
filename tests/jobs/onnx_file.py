"""ONNX files, written and read, from protobuf's and ONNX's own descriptions: another way than the program's."""
import struct


# a message is a list of (field, value); a value is a number, bytes, a text, a float, or a message ---

def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def encode(message):
    out = []
    for field, value in message:
        if isinstance(value, float):
            out += varint(field << 3 | 5), struct.pack("<f", value)
        elif isinstance(value, int):
            out += varint(field << 3), varint(value)
        else:
            data = encode(value) if isinstance(value, list) else value.encode() if isinstance(value, str) else value
            out += varint(field << 3 | 2), varint(len(data)), data
    return b"".join(out)


def tensor(name, dims, kind=1, raw=None, more=()):
    return [*((1, d) for d in dims), (2, kind), (8, name), *([(9, raw)] if raw is not None else []), *more]


def value(name, dims=None, kind=1):
    shape = [] if dims is None else [(2, [(1, [(1, d)] if isinstance(d, int) else [(2, d)] if d else []) for d in dims])]
    return [(1, name), (2, [(1, [(1, kind), *shape])])]


def node(op, ins, outs, name="", attributes=(), domain=""):
    return [*((1, i) for i in ins), *((2, o) for o in outs), (3, name), (4, op), *((5, a) for a in attributes), *([(7, domain)] if domain else [])]


def graph(nodes, ins, outs, weights=()):
    return [*((1, n) for n in nodes), (2, "g"), *((5, w) for w in weights), *((11, i) for i in ins), *((12, o) for o in outs)]


def model(g, opsets=((("", 17)),), ir=8):
    opsets = [opsets] if isinstance(opsets[0], str) else opsets
    return [(1, ir), (2, "test"), (3, "1.0"), *((8, [(1, d), (2, v)]) for d, v in opsets), (7, g)]


def small(weights=None, nodes=None):
    return model(graph(nodes or [node("Conv", ["x", "w"], ["h"], "first", [[(1, "strides"), (8, 2), (8, 2), (20, 7)], [(1, "auto_pad"), (4, "VALID"), (20, 3)]]),
                                 node("Relu", ["h"], ["y"])],
                       [value("x", ["n", 3, 8, 8])], [value("y", ["n", 4, 4, 4])], weights if weights is not None else [tensor("w", [4, 3, 1, 1], raw=bytes(48))]))


def decode(data):
    """[(field, value)] of a message, values as numbers or bytes"""
    at, out = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n
    while at < len(data):
        key = number()
        if key & 7 == 0:
            out.append((key >> 3, number()))
        else:
            n = {1: 8, 5: 4}.get(key & 7) or number()
            out.append((key >> 3, data[at:at + n]))
            at += n
    return out
