"""Reads a page of ours strictly: what it is made of, and its texts, tables and plots in order, for pages.sh.

Anything that is not in the lists of elements and attributes below, that is not nested, or that is an ampersand of its own came from a
name that was not escaped.
"""
import html.parser
import re

ELEMENTS = set("html head meta title style body h1 h2 h3 p strong br div table tr th td ul li dl dt dd details summary figure figcaption "
               "img code a svg g text rect line path polyline circle".split())
ATTRIBUTES = set("lang charset name content class colspan open role width height viewbox aria-label aria-hidden x y x1 x2 y1 y2 cx cy r d points "
                 "fill fill-opacity opacity stroke stroke-width font-weight font-size text-anchor transform style alt src href".split())
EMPTY = {"meta", "br", "img"}
BLOCKS = {"h1", "h2", "h3", "p", "li", "dt", "dd", "summary", "figcaption"}
ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|nbsp|ndash|ldquo|rdquo);)")
# a figure is a number and its unit; digits within a word, such as those of f32, are none
FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:\s*(?:%|points\b|GB/s|GF/s|MiB\b|min\b|s\b|h\b|J\b|x\b|[kMGT]\b))?")


class Svg:
    def __init__(self, label):
        self.label, self.texts, self.shapes = label, [], []

    def of(self, tag):
        return [attrs for t, attrs in self.shapes if t == tag]


class Page(html.parser.HTMLParser):
    """items: ("text", tag, text), ("table", rows of cells), ("svg", Svg); images: (alt, caption); links"""
    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        raw = path.read_bytes().decode("utf-8") # strictly: half a letter is an error
        self.path, self.items, self.images, self.links, self.title = path, [], [], [], ""
        self.stack, self.text, self.table, self.svg = [], None, None, None
        stray = ENTITY.search(raw)
        if stray:
            self.wrong(f"an ampersand of its own: {raw[stray.start():stray.start() + 30]!r}")
        self.feed(raw)
        self.close()
        if self.stack:
            self.wrong(f"<{self.stack[-1]}> is never closed")

    def wrong(self, why):
        raise SystemExit(f"{self.path}: {why}")

    def handle_starttag(self, tag, attrs, closed=False):
        if tag not in ELEMENTS:
            self.wrong(f"has an element <{tag}> at line {self.getpos()[0]}")
        odd = [a for a, _ in attrs if a not in ATTRIBUTES]
        if odd or len({a for a, _ in attrs}) != len(attrs):
            self.wrong(f"<{tag}> has attributes {attrs} at line {self.getpos()[0]}")
        attrs = dict(attrs)
        if attrs.get("src", "data:image/png;base64,")[:22] != "data:image/png;base64,":
            self.wrong(f"an image from {attrs['src']}")
        if tag == "svg":
            self.svg = Svg(attrs.get("aria-label"))
            if not self.table:
                self.items.append(("svg", self.svg))
            else:
                self.table[-1][-1] = self.svg
        elif self.svg:
            self.svg.shapes.append((tag, attrs))
        if tag == "table":
            self.table = []
            self.items.append(("table", self.table))
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")
        elif tag == "img":
            self.images.append([attrs.get("alt"), None])
        elif tag == "a":
            self.links.append(attrs.get("href"))
        if tag in BLOCKS or tag in ("text", "title"):
            if self.text is not None:
                self.wrong(f"<{tag}> within a paragraph at line {self.getpos()[0]}")
            self.text = ""
        if tag not in EMPTY and not closed:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag not in ("rect", "line", "path", "polyline", "circle"):
            self.wrong(f"<{tag}/> at line {self.getpos()[0]}")
        self.handle_starttag(tag, attrs, closed=True)

    def handle_endtag(self, tag):
        if not self.stack or self.stack[-1] != tag:
            self.wrong(f"</{tag}> closes <{self.stack[-1] if self.stack else 'nothing'}> at line {self.getpos()[0]}")
        self.stack.pop()
        if tag == "title" and not self.svg:
            self.title, self.text = self.text, None
        elif tag in ("text", "title"):
            self.svg.texts.append((tag, self.text))
            self.text = None
        elif tag in BLOCKS:
            self.items.append(("text", tag, self.text))
            if tag == "figcaption" and self.images and self.images[-1][1] is None:
                self.images[-1][1] = self.text
            self.text = None
        elif tag == "svg":
            self.svg = None
        elif tag == "table":
            self.table = None

    def handle_data(self, data):
        if self.text is not None:
            self.text += data
        elif self.table and self.table[-1] and not self.svg and self.stack[-1] in ("td", "th", "code"):
            self.table[-1][-1] += data
        elif data.strip() and self.stack[-1] != "style":
            self.wrong(f"text outside of everything: {data.strip()[:60]!r} at line {self.getpos()[0]}")

    def unknown_decl(self, data):
        self.wrong(f"<![{data[:30]}")

    def handle_comment(self, data):
        self.wrong(f"a comment: {data[:30]!r}")

    def handle_pi(self, data):
        self.wrong(f"<?{data[:30]}")

    def everything(self):
        """all that a reader sees, in one string"""
        parts = []
        for item in self.items:
            if item[0] == "svg":
                parts += [t for _, t in item[1].texts]
            elif item[0] == "table":
                parts += [c for row in item[1] for c in row if isinstance(c, str)]
            else:
                parts.append(item[2])
        return "\n".join(parts)


def figures(text):
    return [re.sub(r"\s", "", f) for f in FIGURE.findall(text)]
