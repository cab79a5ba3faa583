"""What the program draws, computed a second time from the definitions: Philox (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as
easy as 1, 2, 3; SC11), the keyed permutation of an epoch, and the augmentation of docs/augment.md with the draws that
kernels/formula/augment.h numbers. Exact integers and numpy's doubles; for all scripts beside it that draw.
"""
import math

import numpy as np

AUGMENT, SHUFFLE, INIT, SPLIT, AUDIT = range(5) # purposes of a draw
CROP, FLIP, RESIZE, AFFINE, SHEAR, RESOLUTION, BLUR, COLOUR, HUE, GAMMA, NOISE, CUTOUT = range(12) # draw numbers of the augmentation
W32 = 0xffffffff


def philox4x32(counter, key):
    x, (k0, k1) = counter, key
    for _ in range(10):
        p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = (q >> 32 ^ x[1] ^ k0, q & W32, p >> 32 ^ x[3] ^ k1, p & W32)
        k0, k1 = k0 + 0x9E3779B9 & W32, k1 + 0xBB67AE85 & W32
    return x


def philox2x32(x, key):
    for _ in range(10):
        p = 0xD256D193 * x[0]
        x, key = (p >> 32 ^ key ^ x[1], p & W32), key + 0x9E3779B9 & W32
    return x


def published():
    """the known answers that the authors publish with Random123 (kat_vectors, 10 rounds)"""
    four = {((0,) * 4, (0,) * 2): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
            ((W32,) * 4, (W32,) * 2): "408f276d 41c83b0e a20bc7c6 6d5451fd",
            ((0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), (0xa4093822, 0x299f31d0)): "d16cfe09 94fdcceb 5001e420 24126ea1"}
    two = {((0, 0), 0): "ff1dae59 6cd10df2", ((W32, W32), W32): "2c3f628b ab4fd7ad",
           ((0x243f6a88, 0x85a308d3), 0x13198a2e): "dd7ce038 f62a4c12"}
    for function, answers in ((philox4x32, four), (philox2x32, two)):
        for (counter, key), answer in answers.items():
            assert " ".join(f"{v:08x}" for v in function(counter, key)) == answer, (function, counter)


published()


def draw(seed, purpose, epoch, identity, number):
    """128 bits in four words, from who draws, what for, when, and which draw of it this is"""
    return philox4x32((identity & W32, identity >> 32, purpose << 24 | epoch, number), (seed & W32, seed >> 32))


def unit(word):
    return word / 2**32


def permute(index, n, seed, purpose, epoch):
    """Feistel network of six rounds over the least even number of bits that holds n, walked until it is inside (Black, Rogaway 2002)"""
    if n < 2:
        return 0
    key = draw(seed, purpose, epoch, 2**64 - 1, 0)
    half = next(b for b in range(1, 33) if 4**b >= n)
    while True:
        left, right = divmod(index, 2**half)
        for turn in range(6):
            left, right = right, left ^ philox2x32((right, turn ^ key[1]), key[0])[0] % 2**half
        index = left * 2**half + right
        if index < n:
            return index


# --- augmentation ---

RANGES = {"area": (0, 0), "aspect": (1, 1), "rotate": (0, 0), "zoom": (1, 1), "shear": (0, 0), "shift": (0, 0), "resolution": (0, 0),
          "blur": (0, 0), "brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0), "gamma": (1, 1), "noise": (0, 0),
          "cutout": (0, 0)}
STAGE = {"rotate": "affine", "zoom": "affine", "shear": "affine", "shift": "affine", "brightness": "colour", "contrast": "colour",
         "saturation": "colour", "hue": "colour", "random_resized_crop": "resize"}


def parse(recipe):
    """the list of docs/augment.md: ranges by name, a probability a stage, the padding"""
    ranges, chance, padding = dict(RANGES), {}, 0
    for entry in recipe:
        (name, value), = entry.items()
        p = 1
        if isinstance(value, dict):
            p, padding = value.get("p", 1), value.get("padding", padding)
            if "aspect" in value:
                ranges["aspect"] = value["aspect"]
            value = value.get("range")
        if name in ("flip", "vertical_flip"):
            p = value
        elif value is not None:
            ranges["area" if name == "random_resized_crop" else name] = value if isinstance(value, list) else [value, value]
        chance[STAGE.get(name, name)] = p
    return ranges, chance, padding


def whole(x, one):
    return math.floor(x * one + 0.5)


def within(pair, word):
    return pair[0] + (pair[1] - pair[0]) * unit(word)


class Sample:
    """what becomes of the image `identity`, in its `repeat`-th appearance in `epoch`"""
    def __init__(self, recipe, seed, epoch, identity, repeat=0):
        self.ranges, self.chance, self.padding = parse(recipe)
        self.words = lambda number: draw(seed, AUGMENT, epoch, identity, repeat << 8 | number)

    def happens(self, stage, word):
        return unit(word) < self.chance.get(stage, 0)

    def to(self, image):
        x = self.geometry(image.astype(int))
        x = self.blurred(self.coarse(x))
        x = self.noisy(self.corrected(self.coloured(x)))
        return self.cut(x).astype(np.uint8)

    def geometry(self, image):
        """one affine map from centres of output pixels, about the centre, to the input; bilinear in 1/256, black outside"""
        h, w, _ = image.shape
        m, t = np.eye(2), np.zeros(2) # (x, y)
        r = self.words(CROP)
        if self.happens("crop", r[2]): # a window in whole pixels
            t = np.array([int((2 * self.padding + 1) * unit(r[i])) - self.padding for i in (0, 1)], float)
        r = self.words(RESIZE)
        if self.happens("resize", r[3]):
            area, aspect = within(self.ranges["area"], r[0]) * h * w, within(self.ranges["aspect"], r[1])
            size = np.minimum([w, h], [math.sqrt(area * aspect), math.sqrt(area / aspect)])
            place = np.array([unit(r[2]), unit(r[2] * 2654435761 + 12345 & W32)])
            m, t = np.diag(size / [w, h]), (place - 0.5) * ([w, h] - size)
        r = self.words(AFFINE)
        if self.happens("affine", r[3]):
            turn, slant = (math.radians(within(self.ranges[k], r[i])) for k, i in (("rotate", 0), ("shear", 2)))
            c, s = math.cos(turn), math.sin(turn)
            m = m @ np.array([[c, s], [-s, c]]) / within(self.ranges["zoom"], r[1]) @ np.array([[1, -math.tan(slant)], [0, 1]])
            r = self.words(SHEAR)
            t = t + [within(self.ranges["shift"], r[0]) * w, within(self.ranges["shift"], r[1]) * h]
        r = self.words(FLIP)
        m = m @ np.diag([-1 if self.happens("flip", r[0]) else 1, -1 if self.happens("vertical_flip", r[1]) else 1])
        centre = np.array([w - 1, h - 1]) / 2
        at = m @ -centre + centre + t
        m, at = np.vectorize(whole)(m, 65536), np.vectorize(whole)(at, 65536)
        y, x = np.mgrid[:h, :w]
        u, v = m[0, 0] * x + m[0, 1] * y + at[0], m[1, 0] * x + m[1, 1] * y + at[1]
        reach = 4 * max(h, w) # black around it, as far as anything may look
        far = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
        i, j = (np.clip((a >> 16) + reach, 0, n + 2 * reach - 2) for a, n in ((v, h), (u, w)))
        fx, fy = ((a >> 8 & 255)[..., None] for a in (u, v))
        rows = [far[i + k, j] * (256 - fx) + far[i + k, j + 1] * fx for k in (0, 1)]
        return rows[0] * (256 - fy) + rows[1] * fy + 32768 >> 16

    def coarse(self, x):
        """down by exact area average, up bilinearly between the centres of the coarse pixels"""
        r = self.words(RESOLUTION)
        if not self.happens("resolution", r[1]):
            return x
        h, w, channels = x.shape
        f = within(self.ranges["resolution"], r[0])
        low_h, low_w = (min(max(int(n * f + 0.5), 1), n) for n in (h, w))
        if (low_h, low_w) == (h, w):
            return x
        fine = x.repeat(low_h, 0).repeat(low_w, 1).reshape(low_h, h, low_w, w, channels) # each pixel in low_h x low_w pieces
        low = (2 * fine.sum((1, 3)) + h * w) // (2 * h * w)

        def places(n, few):
            at = np.clip((2 * np.arange(n) + 1) * few * 65536 // (2 * n) - 32768, 0, (few - 1) * 65536)
            return at >> 16, np.minimum((at >> 16) + 1, few - 1), at >> 8 & 255
        (y0, y1, fy), (x0, x1, fx) = places(h, low_h), places(w, low_w)
        fx, fy = fx[:, None], fy[:, None, None]
        rows = [low[k][:, x0] * (256 - fx) + low[k][:, x1] * fx for k in (y0, y1)]
        return rows[0] * (256 - fy) + rows[1] * fy + 32768 >> 16

    def blurred(self, x):
        r = self.words(BLUR)
        if not self.happens("blur", r[1]):
            return x
        sigma = within(self.ranges["blur"], r[0])
        e = np.array([math.exp(-0.5 * k * k / sigma**2) if sigma > 0.05 or k == 0 else 0 for k in range(3)])
        one, two = (whole(e[k] / (1 + 2 * e[1] + 2 * e[2]), 256) for k in (1, 2))
        taps = np.array([two, one, 256 - 2 * one - 2 * two, one, two])
        h, w, _ = x.shape
        far = np.pad(x, ((2, 2), (2, 2), (0, 0)), "edge")
        return sum(taps[i] * taps[j] * far[i:i + h, j:j + w] for i in range(5) for j in range(5)) + 32768 >> 16

    def coloured(self, x):
        """brightness, contrast about grey 128, saturation towards the luma, hue as a turn of the I-Q plane; grey is r = g = b"""
        r, hue = self.words(COLOUR), self.words(HUE)
        if not self.happens("colour", r[3]):
            return x
        b, c, s = (within(self.ranges[k], r[i]) for i, k in enumerate(("brightness", "contrast", "saturation")))
        turn = 2 * math.pi * within(self.ranges["hue"], hue[0])
        m, offset = np.eye(3) * b * c, np.full(3, 128 * (1 - c))
        steps = [(1 - s) * np.array([[0.299, 0.587, 0.114]] * 3) + s * np.eye(3)]
        if turn:
            yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
            rgb = np.array([[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.106, 1.703]])
            cs, sn = math.cos(turn), math.sin(turn)
            steps.append(rgb @ np.array([[1, 0, 0], [0, cs, -sn], [0, sn, cs]]) @ yiq)
        for step in steps:
            m, offset = step @ m, step @ offset
        m, offset = np.vectorize(whole)(m, 4096), np.vectorize(whole)(offset, 4096)
        channels = x.shape[2]
        three = x if channels == 3 else x.repeat(3, 2)
        return np.clip(three @ m.T + offset + 2048 >> 12, 0, 255)[:, :, :channels]

    def corrected(self, x):
        """64 tables over the range of exponents"""
        r = self.words(GAMMA)
        if not self.happens("gamma", r[1]):
            return x
        low, high = self.ranges["gamma"]
        exponent = low + (high - low) * int(64 * unit(r[0])) / 63
        return np.array([int(math.pow(v / 255, exponent) * 255 + 0.5) for v in range(256)])[x]

    def noisy(self, x):
        """eight random bytes about 0, whose standard deviation is 209, for each byte of the image"""
        r = self.words(NOISE)
        if not self.happens("noise", r[1]):
            return x
        factor = whole(within(self.ranges["noise"], r[0]) / 209, 65536)
        words = (philox2x32((i, r[3]), r[2]) for i in range(x.size))
        sums = np.array([sum(w >> s & 255 for w in two for s in (0, 8, 16, 24)) - 1020 for two in words]).reshape(x.shape)
        return np.clip(x + (sums * factor + 32768 >> 16), 0, 255)

    def cut(self, x):
        r = self.words(CUTOUT)
        if not self.happens("cutout", r[3]):
            return x
        h, w, _ = x.shape
        side = int(within(self.ranges["cutout"], r[2]) * h + 0.5)
        y, left, wide = int(h * unit(r[0])) - side // 2, int(w * unit(r[1])) - side * w // h // 2, side * w // h
        x = x.copy()
        x[max(y, 0):max(y + side, 0), max(left, 0):max(left + wide, 0)] = 0
        return x
