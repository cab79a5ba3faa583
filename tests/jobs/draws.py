"""What the program draws, computed a second time from the definitions: Philox (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as
easy as 1, 2, 3; SC11), the keyed permutation of an epoch, and the augmentation of docs/augment.md with the draws that
kernels/formula/augment.c numbers (draws_1.py: those of version 1). Exact integers and numpy's doubles; for all scripts beside it that draw.
"""
import math

import numpy as np

AUGMENT, SHUFFLE, INIT, SPLIT, AUDIT = range(5) # purposes of a draw
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


# --- augmentation: what is done to pixels, with parameters in fixed point ---

def whole(x, one=1):
    return math.floor(x * one + 0.5)


def within(pair, word):
    return pair[0] + (pair[1] - pair[0]) * unit(word)


def warped(image, m, at):
    """one affine map from output pixels to the input, in 1/65536; bilinear in 1/256, black outside"""
    h, w, _ = image.shape
    m, at = np.vectorize(whole)(m, 65536), np.vectorize(whole)(at, 65536)
    y, x = np.mgrid[:h, :w]
    u, v = m[0, 0] * x + m[0, 1] * y + at[0], m[1, 0] * x + m[1, 1] * y + at[1]
    reach = 4 * max(h, w) # black around it, as far as anything may look
    far = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    i, j = (np.clip((a >> 16) + reach, 0, n + 2 * reach - 2) for a, n in ((v, h), (u, w)))
    fx, fy = ((a >> 8 & 255)[..., None] for a in (u, v))
    rows = [far[i + k, j] * (256 - fx) + far[i + k, j + 1] * fx for k in (0, 1)]
    return rows[0] * (256 - fy) + rows[1] * fy + 32768 >> 16


def coarser(x, f):
    """down by exact area average, up bilinearly between the centres of the coarse pixels"""
    h, w, channels = x.shape
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


def smoothed(x, half, one):
    """a symmetric kernel of weights `half` by distance, in 1/one, along both axes; edges repeated"""
    radius = len(half) - 1
    taps, (h, w, _) = list(half[:0:-1]) + list(half), x.shape
    far = np.pad(x, ((radius, radius), (radius, radius), (0, 0)), "edge")
    n = range(2 * radius + 1)
    return (sum(taps[i] * taps[j] * far[i:i + h, j:j + w] for i in n for j in n) + one * one // 2) // (one * one)


def toned(b, c, s):
    """brightness, contrast about grey 128 and saturation towards the luma, as a matrix and an offset"""
    m, offset = np.eye(3) * b * c, np.full(3, 128 * (1 - c))
    step = (1 - s) * np.array([[0.299, 0.587, 0.114]] * 3) + s * np.eye(3)
    return step @ m, step @ offset


def recoloured(x, m, offset):
    """grey is r = g = b"""
    m, offset = np.vectorize(whole)(m, 4096), np.vectorize(whole)(offset, 4096)
    channels = x.shape[2]
    three = x if channels == 3 else x.repeat(3, 2)
    return np.clip(three @ m.T + offset + 2048 >> 12, 0, 255)[:, :, :channels]


def hue_turned(x, turn):
    """HSV's hue, a sixth of a turn at a time and the rest between the two colours there; turn in 1/65536 of a sixth"""
    if x.shape[2] == 1 or not turn:
        return x
    r, g, b = np.moveaxis(x.astype(np.int64), 2, 0)
    high, low = x.max(2).astype(np.int64), x.min(2).astype(np.int64)
    d = high - low
    at = np.where(high == r, g - b, np.where(high == g, 2 * d + b - r, 4 * d + r - g)) * 65536 + turn * d
    at = np.where(d > 0, at % np.maximum(6 * 65536 * d, 1), 0)
    sixth, rest = at // np.maximum(65536 * d, 1), at % np.maximum(65536 * d, 1)
    up, down = low + (rest + 32768 >> 16), low + (65536 * d - rest + 32768 >> 16)
    colours = [(high, up, low), (down, high, low), (low, high, up), (low, down, high), (up, low, high), (high, low, down)]
    return np.stack([np.select([sixth == k for k in range(6)], [c[i] for c in colours]) for i in range(3)], 2)


def corrected(x, low, high, word):
    """64 tables over the range of exponents"""
    exponent = low + (high - low) * int(64 * unit(word)) / 63
    return np.array([int(math.pow(v / 255, exponent) * 255 + 0.5) for v in range(256)])[x]


def speckled(x, sigma, key):
    """eight random bytes about 0, whose standard deviation is 209, for each byte of the image"""
    factor = whole(sigma / 209, 65536)
    words = (philox2x32((i, key[1]), key[0]) for i in range(x.size))
    sums = np.array([sum(w >> s & 255 for w in two for s in (0, 8, 16, 24)) - 1020 for two in words]).reshape(x.shape)
    return np.clip(x + (sums * factor + 32768 >> 16), 0, 255)


def cut_out(x, share, y, left):
    h, w, _ = x.shape
    side = int(share * h + 0.5)
    wide = side * w // h
    y, left, x = y - side // 2, left - wide // 2, x.copy()
    x[max(y, 0):max(y + side, 0), max(left, 0):max(left + wide, 0)] = 0
    return x


# --- augmentation: what is drawn, in version 2 ---

NAMES = ("crop random_resized_crop rotate zoom shear shift flip vertical_flip resolution blur brightness contrast saturation hue gamma "
         "noise cutout").split() # the draw of an operation is number 16 + its place here
TRY = 64


def entries(recipe):
    """(name, range or None, p, map) of each entry"""
    for entry in recipe:
        (name, value), = entry.items()
        more = value if isinstance(value, dict) else {}
        span, p = more.get("range", None if more else value), more.get("p", 1)
        if name in ("flip", "vertical_flip", "crop"):
            span, p = None, more.get("p", 1) if more else value
        yield name, [span, span] if isinstance(span, (int, float)) else span, p, more


class Sample:
    """what becomes of the image `identity`, in its `repeat`-th appearance in `epoch`"""
    def __init__(self, recipe, seed, epoch, identity, repeat=0):
        self.draw = lambda number: draw(seed, AUGMENT, epoch, identity, repeat << 8 | number)
        self.recipe = {name: (span, p, more) for name, span, p, more in entries(recipe)}

    def words(self, name):
        return self.draw(16 + NAMES.index(name))

    def happens(self, name):
        return name in self.recipe and unit(self.words(name)[3]) < self.recipe[name][1]

    def value(self, name, otherwise, word=0):
        return within(self.recipe[name][0], self.words(name)[word]) if self.happens(name) else otherwise

    def to(self, image):
        x = warped(image.astype(int), *self.geometry(*image.shape[:2]))
        if self.happens("resolution"):
            x = coarser(x, self.value("resolution", 1))
        x = smoothed(x, self.taps(self.value("blur", 0)), 4096)
        x = recoloured(x, *toned(*(self.value(n, 1) for n in ("brightness", "contrast", "saturation"))))
        x = hue_turned(x, whole(6 * self.value("hue", 0), 65536))
        if self.happens("gamma"):
            x = corrected(x, *self.recipe["gamma"][0], self.words("gamma")[0])
        if self.happens("noise"):
            x = speckled(x, 255 * self.value("noise", 0), self.words("noise")[1:3])
        if self.happens("cutout"):
            words = self.words("cutout")
            x = cut_out(x, self.value("cutout", 0), int(x.shape[0] * unit(words[1])), int(x.shape[1] * unit(words[2])))
        return x.astype(np.uint8)

    def taps(self, sigma):
        radius = 0 if sigma < 0.05 else min(math.ceil(4 * sigma), 12)
        e = [math.exp(-0.5 * d * d / sigma**2) if d else 1 for d in range(radius + 1)]
        half = [whole(v / (1 + 2 * sum(e[1:])), 4096) for v in e]
        half[0] = 4096 - 2 * sum(half[1:])
        return half

    def window(self, h, w):
        """corner and size of the random resized crop: torchvision's RandomResizedCrop"""
        span, _, more = self.recipe["random_resized_crop"]
        low, high = np.broadcast_to(more.get("aspect", (3 / 4, 4 / 3)), 2)
        for k in range(10):
            words = self.draw(TRY + k)
            area, aspect = within(span, words[0]) * h * w, low * (high / low) ** unit(words[1])
            cw, ch = whole(math.sqrt(area * aspect)), whole(math.sqrt(area / aspect))
            if 0 < cw <= w and 0 < ch <= h:
                return int((w - cw + 1) * unit(words[2])), int((h - ch + 1) * unit(words[3])), cw, ch
        cw, ch = (w, h) if low <= w / h <= high else (min(max(whole(h * high), 1), w), h) if w / h > high else (w, min(max(whole(w / low), 1), h))
        return (w - cw) // 2, (h - ch) // 2, cw, ch

    def step(self, name, h, w):
        """3x3, from pixel centres of what an operation gives, about the middle, to what it is given"""
        words, back = self.words(name), np.eye(3)
        v = math.radians(self.value(name, 0)) if name in ("rotate", "shear") else None
        if name == "crop":
            padding = self.recipe["crop"][2]["padding"]
            back[:2, 2] = [int((2 * padding + 1) * unit(words[k])) - padding for k in (0, 1)]
        elif name == "random_resized_crop":
            x, y, cw, ch = self.window(h, w)
            back = np.array([[cw / w, 0, x + cw / 2 - w / 2], [0, ch / h, y + ch / 2 - h / 2], [0, 0, 1]])
        elif name == "rotate": # against the clock, y down: the inverse turns with it
            back[:2, :2] = [[math.cos(v), -math.sin(v)], [math.sin(v), math.cos(v)]]
        elif name == "zoom":
            back[:2, :2] /= self.value("zoom", 1)
        elif name == "shear":
            back[0, 1] = math.tan(v)
        elif name == "shift":
            back[:2, 2] = [-self.value("shift", 0) * w, -self.value("shift", 0, 1) * h]
        else:
            back[(0, 0) if name == "flip" else (1, 1)] = -1
        return back

    def geometry(self, h, w):
        back = np.eye(3)
        for name in self.recipe: # in the order of the list
            if name in NAMES[:8] and self.happens(name):
                back = back @ self.step(name, h, w)
        centre = np.array([w - 1, h - 1]) / 2
        return back[:2, :2], back[:2, :2] @ -centre + centre + back[:2, 2]
