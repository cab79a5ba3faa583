"""The seeds of what ingest reads: small valid images of several kinds of each format, and sources. seeds.py puts them into the corpus.

Each function gives {name: bytes}; encoders here are the plainest ones that the format allows, as the seeds are to be changed, not looked at.
"""
import io
import struct
import zipfile
import zlib


def gradient(w, h, channels):
    return bytes((9 * x + 31 * y + 77 * k) & 255 for y in range(h) for x in range(w) for k in range(channels))


# --- BMP ---

def bmp(w, h, bits, pixels, size=40, compression=0, colours=0, extra=b""):
    """extra: masks, and the table of colours"""
    if size == 12:
        head = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", size, w, h, 1, bits, compression, len(pixels), 2835, 2835, colours, 0)
        if size > 40:
            head, extra = head + extra[:16] + b"\0" * (size - 56), extra[16:]
    at = 14 + len(head) + len(extra)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + head + extra + pixels


def bmp_seeds():
    greys = b"".join(bytes((i, i, i, 0)) for i in range(0, 256, 17))
    return {
        "oldest.bmp": bmp(5, 3, 8, gradient(8, 3, 1), 12, extra=b"".join(bytes((i, 255 - i, 3)) for i in range(256))),
        "runs4.bmp": bmp(6, 2, 4, b"\6\x12\0\0\0\5\x12\x34\x50\0\0\0\0\1", compression=2, colours=16, extra=greys),
        "steps8.bmp": bmp(6, 4, 8, b"\2\1\0\2\1\1\0\3\1\2\3\0\0\0\6\7\0\1", compression=1, colours=16, extra=greys),
        "masks16.bmp": bmp(3, 2, 16, gradient(4, 2, 2), compression=3, extra=struct.pack("<III", 0xf800, 0x7e0, 0x1f)),
        "down.bmp": bmp(3, -2, 24, gradient(4, 2, 3)),
        "alpha124.bmp": bmp(2, 2, 32, gradient(2, 2, 4), 124, 3, extra=struct.pack("<IIII", 0xff0000, 0xff00, 0xff, 0xff000000)),
        "bits2.bmp": bmp(5, 2, 2, gradient(4, 2, 1), colours=4, extra=greys[:16]),
    }


# --- PNM ---

def pnm_seeds():
    return {
        "bits_text.pbm": b"P1\n# digits need no space\n5 2\n10101\n0 1 0 1 0\n",
        "grey16.pgm": b"P5 3 2 65535\n" + gradient(3, 2, 2),
        "odd_most.ppm": b"P3\n2 2\n# most\n100\n0 50 100 1 2 3\n99 98 97 0 0 0\n",
        "bits_wide.pbm": b"P4\n17 2\n" + gradient(3, 2, 1),
    }


# --- GIF ---

def gif_codes(indices, size):
    """LZW that never makes a code of its own: it clears its table before the width of a code would grow"""
    clear, bits, n = 1 << size, 0, 0
    codes = []
    for i, index in enumerate(indices):
        if i % (clear - 2 or 1) == 0:
            codes.append(clear)
        codes.append(index)
    for code in codes + [clear + 1]:
        bits |= code << n
        n += size + 1
    data = bits.to_bytes((n + 7) // 8, "little")
    return bytes((size,)) + b"".join(bytes((len(data[i:i + 255]),)) + data[i:i + 255] for i in range(0, len(data), 255)) + b"\0"


def gif_frame(x, y, w, h, size=3, flags=0, table=b""):
    return b"," + struct.pack("<HHHHB", x, y, w, h, flags) + table + gif_codes([(3 * i) % (1 << size) for i in range(w * h)], size)


def gif_seeds():
    table = gradient(8, 1, 3)
    head = lambda w, h, flags, kind=b"GIF89a": kind + struct.pack("<HHBBB", w, h, flags, 1, 0) + (table if flags & 128 else b"")
    control = lambda flags, clear: b"!\xf9\4" + bytes((flags, 0, 0, clear)) + b"\0"
    return {
        "old.gif": head(6, 4, 0x82, b"GIF87a") + gif_frame(0, 0, 6, 4) + b";",
        "interlaced.gif": head(5, 19, 0x82) + gif_frame(0, 0, 5, 19, flags=0x40) + b";",
        "own_table.gif": head(4, 4, 0) + control(1, 2) + gif_frame(1, 1, 2, 2, flags=0x82, table=table) + b";",
        "frames.gif": head(4, 4, 0x82) + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0!\xfe\2hi\0" + (control(9, 1) + gif_frame(0, 0, 4, 4)) * 2 + b";",
        "bits8.gif": head(9, 9, 0x87)[:13] + gradient(256, 1, 3) + gif_frame(0, 0, 9, 9, 8) + b";",
    }


# --- TIFF ---

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}


def tiff(entries, strips=(), big=False, more=b"", tiles=False):
    """entries: {tag: (type, values)}; strips, or tiles, lie behind the folder, and their entries are made"""
    order = ">" if big else "<"
    entries = dict(entries)
    offset, count = (324, 325) if tiles else (273, 279)
    if strips:
        entries[offset] = (4, [0] * len(strips))
        entries[count] = (4, [len(s) for s in strips])
    kinds = {1: "B", 3: "H", 4: "I", 5: "II"}
    pack = lambda kind, values: values if kind == 2 else struct.pack(order + kinds[kind] * (len(values) // (2 if kind == 5 else 1)), *values)
    behind = 8 + 2 + 12 * len(entries) + 4
    sizes = {tag: len(pack(*entry)) for tag, entry in entries.items()}
    at = behind + sum(n + n % 2 for n in sizes.values() if n > 4)
    if strips:
        starts = [at + sum(len(s) for s in strips[:i]) for i in range(len(strips))]
        entries[offset] = (4, starts)
    folder, values = struct.pack(order + "H", len(entries)), b""
    for tag, (kind, value) in sorted(entries.items()):
        data = pack(kind, value)
        folder += struct.pack(order + "HHI", tag, kind, len(data) // SIZES[kind])
        folder += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", behind + len(values))
        values += data + b"\0" * (len(data) % 2) if len(data) > 4 else b""
    return (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", 8) + folder + b"\0" * 4 + values + b"".join(strips) + more


def packed_bits(data):
    return b"".join(bytes((len(data[i:i + 100]) - 1,)) + data[i:i + 100] for i in range(0, len(data), 100))


def lzw(data):
    """clears its table before codes get wider than 9 bits"""
    codes = [c for i, b in enumerate(data) for c in ([256] if i % 200 == 0 else []) + [b]] + [257]
    bits = "".join(format(c, "09b") for c in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def tiff_seeds(jpeg):
    """jpeg: a whole grey one of 16 x 16"""
    def entries(w, h, bits, photometric, compression=1, rows=None, **more):
        out = {256: (3, [w]), 257: (3, [h]), 258: (3, bits), 259: (3, [compression]), 262: (3, [photometric]), 277: (3, [len(bits)]), 278: (3, [rows or h])}
        out.update({int(k[1:]): v for k, v in more.items()})
        return out
    grey, rgb, rgba = gradient(8, 6, 1), gradient(8, 6, 3), gradient(8, 6, 4)
    table = [i * 4096 for i in range(16)] * 3
    ends = b"\0\x1a\x80" * 4  # rows of CCITT's code, each an end-of-line and 16 white pixels
    white = b"\xa8" * 4  # each 16 white pixels and padding
    return {
        "strips.tiff": tiff(entries(8, 6, [8], 1, rows=2), [grey[:16], grey[16:32], grey[32:]]),
        "big.tiff": tiff(entries(8, 6, [16] * 3, 2), [gradient(8, 6, 6)], big=True),
        "white.tiff": tiff(entries(13, 4, [1], 0), [gradient(2, 4, 1)]),
        "table.tiff": tiff(entries(8, 6, [4], 3, t320=(3, table)), [gradient(4, 6, 1)]),
        "bits4.tiff": tiff(entries(7, 3, [4], 1), [gradient(4, 3, 1)]),
        "bits16.tiff": tiff(entries(4, 4, [16], 1), [gradient(4, 4, 2)]),
        "packbits.tiff": tiff(entries(8, 6, [8] * 3, 2, 32773), [packed_bits(rgb)]),
        "lzw.tiff": tiff(entries(8, 6, [8] * 3, 2, 5, t317=(3, [2])), [lzw(rgb)]),
        "deflate.tiff": tiff(entries(8, 6, [8] * 3, 2, 8, t317=(3, [2])), [zlib.compress(rgb)]),
        "planes.tiff": tiff(entries(8, 6, [8] * 3, 2, t284=(3, [2])), [grey] * 3),
        "tiles.tiff": tiff(entries(20, 18, [8], 1, t322=(3, [16]), t323=(3, [16])), [gradient(16, 16, 1)] * 4, tiles=True),
        "tiles_deflate.tiff": tiff(entries(20, 18, [8] * 3, 2, 8, t322=(3, [16]), t323=(3, [16])), [zlib.compress(gradient(16, 16, 3))] * 4, tiles=True),
        "alpha.tiff": tiff(entries(8, 6, [8] * 4, 2, t338=(3, [2])), [rgba]),
        "multiplied.tiff": tiff(entries(8, 6, [8] * 4, 2, t338=(3, [1])), [rgba]),
        "grey_alpha.tiff": tiff(entries(8, 6, [8] * 2, 1, t338=(3, [2])), [gradient(8, 6, 2)]),
        "ink.tiff": tiff(entries(8, 6, [8] * 4, 5), [rgba]),
        "lab.tiff": tiff(entries(8, 6, [8] * 3, 8), [rgb]),
        "ycbcr.tiff": tiff(entries(8, 6, [8] * 3, 6, t530=(3, [2, 2]), t531=(3, [1]), t532=(5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1])), [gradient(12, 6, 1)]),
        "jpeg.tiff": tiff(entries(16, 16, [8], 1, 7), [jpeg]),
        "fax3.tiff": tiff(entries(16, 4, [1], 0, 3), [ends]),
        "fax4.tiff": tiff(entries(16, 4, [1], 0, 4), [b"\xf0\x01\0\x10\x01"]),
        "runs.tiff": tiff(entries(16, 4, [1], 0, 2), [white]),
        "logl.tiff": tiff(entries(8, 2, [16], 32844, 34676, t339=(3, [2])), [(b"\x88\x3f\x88\x20") * 2]),
        "float.tiff": tiff(entries(2, 2, [32], 1, t339=(3, [3])), [b"\0" * 16]),
        "turned.tiff": tiff(entries(8, 6, [8], 1, t274=(3, [6]), t271=(2, b"Maker\0"), t306=(2, b"2024:02:29 12:34:56\0")), [grey]),
        "claims.tiff": tiff(entries(16000, 16000, [8] * 3, 2, 8), [zlib.compress(rgb)]),
        "tile_large.tiff": tiff(entries(8, 6, [8], 1, 8, t322=(4, [60000]), t323=(4, [60000])), [zlib.compress(grey)], tiles=True),
        "samples.tiff": tiff({**entries(90, 1, [8], 1, 8), 277: (3, [60000])}, [zlib.compress(b"\0" * 480000, 9)]),
    }


# --- EXIF ---

NORTH = [48, 1, 8, 1, 3059, 100] # 48 degrees, 8 minutes, 30.59 seconds
WEST = [11, 1, 34, 1, 0, 1]


def placed(big, base=(), strips=()):
    """TIFF with a maker and a place, north or (big) south, and the same with zeros for the place; base: what else is in its folder"""
    entries = {0x10f: (2, b"Maker\0"), **dict(base)}
    whole = tiff({**entries, 0x8825: (4, [0])}, strips, big=big)
    order = ">" if big else "<"
    at = len(whole)
    whole = tiff({**entries, 0x8825: (4, [at])}, strips, big=big)
    behind = at + 2 + 12 * 4 + 4
    head = [struct.pack(order + "HHI4s", tag, 2, 2, letter + b"\0\0\0") for tag, letter in ((1, b"S" if big else b"N"), (3, b"W"))]
    places = [struct.pack(order + "HHII", tag, 5, 3, behind + 24 * k) for k, tag in enumerate((2, 4))]
    place = struct.pack(order + "H", 4) + head[0] + places[0] + head[1] + places[1] + b"\0" * 4 + struct.pack(order + "12I", *NORTH, *WEST)
    blank = struct.pack(order + "H", 4) + head[0][:8] + b"\0" * 4 + places[0] + head[1][:8] + b"\0" * 4 + places[1] + b"\0" * 4 + b"\0" * 48
    return whole + place, whole + blank


def exif_seeds():
    details = lambda at: struct.pack("<HHHIII", 1, 0x9003, 2, 20, at + 18, 0) + b"2023:01:02 03:04:05\0"
    base = {0x10f: (2, b"Maker\0"), 0x110: (2, b"Maker Model 7\0"), 0x112: (3, [6]), 0x132: (2, b"2024:02:29 12:34:56\0")}
    whole = tiff({**base, 0x8769: (4, [0]), 0x8825: (4, [8])})
    return {
        "little": tiff(base),
        "big": tiff(base, big=True),
        "details": tiff({**base, 0x8769: (4, [len(whole)]), 0x8825: (4, [8])}) + details(len(whole)),
        "short": tiff({0x112: (3, [8])}),
        "prefixed": b"Exif\0\0" + tiff({0x112: (3, [3]), 0x10f: (2, b"\xe9\n\0")}),
        "place": placed(False)[0],
        "place_big": placed(True)[0],
        "itself": tiff({0x8769: (4, [8]), 0x112: (3, [2])}),
    }


# --- WebP ---

def webp(*chunks):
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def lossless(w, h, colour, alpha=0):
    """all of one colour: each of the five codes has one symbol, and takes no bits"""
    bits = [(0x2f, 8), (w - 1, 14), (h - 1, 14), (alpha, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    for symbol in (*colour, 0):
        bits += [(1, 1), (0, 1), (1, 1), (symbol, 8)]
    value = n = 0
    for x, width in bits:
        value |= x << n
        n += width
    return value.to_bytes(n // 8 + 2, "little")


def webp_seeds(lossy):
    """lossy: a whole file of that kind"""
    vp8 = lossy[20:20 + struct.unpack("<I", lossy[16:20])[0]]
    w, h = (x & 0x3fff for x in struct.unpack("<HH", vp8[6:10]))
    small = lambda x: struct.pack("<I", x)[:3]
    extended = lambda flags, w, h: (b"VP8X", struct.pack("<I", flags) + small(w - 1) + small(h - 1))
    pixels = lossless(6, 4, (9, 200, 7, 128), 1)
    frame = lambda x, y: (b"ANMF", small(x) + small(y) + small(5) + small(3) + small(100) + b"\0" + b"VP8L" + struct.pack("<I", len(pixels)) + pixels + b"\0" * (len(pixels) % 2))
    return {
        "one_colour.webp": webp((b"VP8L", lossless(7, 5, (1, 2, 3, 255)))),
        "clear.webp": webp((b"VP8L", pixels)),
        "alpha.webp": webp(extended(16, w, h), (b"ALPH", b"\0" + gradient(w, h, 1)), (b"VP8 ", vp8)),
        "animation.webp": webp(extended(2 | 16, 12, 9), (b"ANIM", b"\0\0\0\0\0\0"), frame(1, 2), frame(0, 0)),
        "said.webp": webp(extended(8 | 32, 6, 4), (b"ICCP", b"profile"), (b"VP8L", pixels), (b"EXIF", exif_seeds()["little"])),
    }


# --- sources ---

def zip_seeds():
    files = [("a/1.png", b"\x89PNG"), ("b/2.jpg", b"\xff\xd8\xff" * 60), ("empty/", b""), ("\u00e9/3.png", b"x"), ("a/k.cls", b"b\n"), ("a/k.png", b"y")]

    class Stream(io.BytesIO):  # cannot seek, so sizes stand behind the bytes
        def seekable(self):
            return False

        def seek(self, *to):
            raise OSError

        def tell(self):
            raise OSError
    out = {}
    for name, kind, sink in (("stored.zip", zipfile.ZIP_STORED, io.BytesIO()), ("deflated.zip", zipfile.ZIP_DEFLATED, io.BytesIO()),
                             ("bzip2.zip", zipfile.ZIP_BZIP2, io.BytesIO()), ("lzma.zip", zipfile.ZIP_LZMA, io.BytesIO()),
                             ("streamed.zip", zipfile.ZIP_DEFLATED, Stream())):
        with zipfile.ZipFile(sink, "w", kind) as z:
            for path, data in files:
                z.writestr(zipfile.ZipInfo(path, (2024, 2, 29, 12, 0, 0)), data, kind)
        out[name] = sink.getvalue().replace(b"\x5d\0\0\x80\0", b"\x5d\0\0\1\0")  # LZMA's dictionary of 8 MiB: 64 KiB will do
    return out


def tar_lz4(tar):
    """LZ4 frame with one block as it is"""
    return b"\x04\x22\x4d\x18\x60\x40\x82" + struct.pack("<I", len(tar) | 1 << 31) + tar + b"\0" * 4


def folder_seeds():
    return {
        "classes": b"cat/1.png\ncat/part/deeper/2.png\ndog/1.png\nloose.png\nempty/\n",
        "splits": b"train/cat/1.png\ntrain/dog/2.png\ntest/cat/9.png\nREADME\ntest/none/\n",
        "one_split": b"train/cat/1.png\ntrain/dog/2.png\n",
        "splits_flat": b"train/1.png\nTest/2.png\nbeside.png\n",
        "around": b"photos/cat/1.png\nphotos/dog/2.png\nphotos/.hidden/3.png\n",
        "passed": b".git/x\n__MACOSX/a/1.png\na/Thumbs.db\na/1.txt\na/1.png\nb/LICENSE\nb/2\n",
        "links": b"a/1.png\na/up@\nb/c/up@\nb/2.png\n",
        "names": "\u00e9/1.png\na b/2.png\nx.y/3.png\n-/4\n".encode() + b"\xe9/5.png\n",
    }


def webdataset_seeds():
    return {
        "names": b"1.png\n1.cls\tcat\n2.png\n2.cls\tdog\\n\n3.png\n",
        "numbers": b"1.png\n1.cls\t0\n2.jpg\n2.cls\t1 \\r\\n\n3.png\n3.cls\t7\n",
        "ends": b"1.seg.png\n1.cls\ta\n2.a.b.png\n2.a.cls\tb\n2.cls\ta\n",
        "folders": b"x/1.png\nx/1.cls\ta\ny/1.png\ny/1.cls\tb\nz/1.png\n",
        "odd": b"1.png\n1.cls\t\n2.png\n2.cls\t\xe9\n3.png\n3.cls\ta\\0b\n4.png\n4.cls\t" + b"x" * 300 + b"\n",
    }
