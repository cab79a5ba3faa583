"""What version 1 of the augmentation drew, computed a second time from its definitions (docs/augment.md names what version 2 changed)."""
import math

import numpy as np

from draws import AUGMENT, W32, coarser, corrected, cut_out, draw, recoloured, smoothed, speckled, toned, unit, warped, whole, within

CROP, FLIP, RESIZE, AFFINE, SHEAR, RESOLUTION, BLUR, COLOUR, HUE, GAMMA, NOISE, CUTOUT = range(12) # draw numbers
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
        return warped(image, m, m @ -centre + centre + t)

    def coarse(self, x):
        """down by exact area average, up bilinearly between the centres of the coarse pixels"""
        r = self.words(RESOLUTION)
        if not self.happens("resolution", r[1]):
            return x
        return coarser(x, within(self.ranges["resolution"], r[0]))

    def blurred(self, x):
        r = self.words(BLUR)
        if not self.happens("blur", r[1]):
            return x
        sigma = within(self.ranges["blur"], r[0])
        e = np.array([math.exp(-0.5 * k * k / sigma**2) if sigma > 0.05 or k == 0 else 0 for k in range(3)])
        one, two = (whole(e[k] / (1 + 2 * e[1] + 2 * e[2]), 256) for k in (1, 2))
        return smoothed(x, [256 - 2 * one - 2 * two, one, two], 256)

    def coloured(self, x):
        """brightness, contrast about grey 128, saturation towards the luma, hue as a turn of the I-Q plane; grey is r = g = b"""
        r, hue = self.words(COLOUR), self.words(HUE)
        if not self.happens("colour", r[3]):
            return x
        b, c, s = (within(self.ranges[k], r[i]) for i, k in enumerate(("brightness", "contrast", "saturation")))
        turn = 2 * math.pi * within(self.ranges["hue"], hue[0])
        m, offset = toned(b, c, s)
        if turn:
            yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
            rgb = np.array([[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.106, 1.703]])
            cs, sn = math.cos(turn), math.sin(turn)
            step = rgb @ np.array([[1, 0, 0], [0, cs, -sn], [0, sn, cs]]) @ yiq
            m, offset = step @ m, step @ offset
        return recoloured(x, m, offset)

    def corrected(self, x):
        r = self.words(GAMMA)
        return corrected(x, *self.ranges["gamma"], r[0]) if self.happens("gamma", r[1]) else x

    def noisy(self, x):
        r = self.words(NOISE)
        return speckled(x, within(self.ranges["noise"], r[0]), r[2:4]) if self.happens("noise", r[1]) else x

    def cut(self, x):
        r = self.words(CUTOUT)
        if not self.happens("cutout", r[3]):
            return x
        return cut_out(x, within(self.ranges["cutout"], r[2]), int(x.shape[0] * unit(r[0])), int(x.shape[1] * unit(r[1])))
