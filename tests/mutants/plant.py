#!/usr/bin/env python3
"""plant.py TABLE SOURCE OUT - writes copies of the files that TABLE names to OUT, in which each mutated place is selected at run time.

A row of TABLE (tab separated; # begins a comment): id, file, old text, new text, tests, and perhaps why the mutant may survive.
The old text is part of a statement, or whole statements, of the file; white space and comments do not count, and it must stand
there once (or once as whole lines). What differs between old and new is widened to the smallest expression around it, which becomes
"a mutant is selected ? new : old"; where that is none (a statement dropped, a jump, a call without a value) whole statements are
taken: "if (selected) { new } else { old }". `#define NAME value` works too. What cannot be chosen at run time is refused: initial values
of tables and static variables, declarations, labels.
A file that has moved is found by its base name, if that is unique. OUT/planted lists `id file line`, OUT/refused `id why`, OUT/sources
`original copy`. Files that would not change keep their time."""
import collections
import os
import re
import sys

ROOMS = ("kernels", "host", "datasets", "jobs")
COLUMNS = ("id", "file", "old", "new", "tests", "reason")
HEAD = """#ifdef __cplusplus
extern "C" {
#endif
extern int nst_mutant;
int nst_here(int);
#ifdef __cplusplus
}
#endif
"""
Row = collections.namedtuple("Row", COLUMNS)
Token = collections.namedtuple("Token", "text begin end")
TOKEN = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|(?P<directive>^[ \t]*\#(?:[^\n\\]|\\.)*)"
    r"|(?P<token>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\.?[0-9](?:[eEpP][+-]|[\w.])*|[A-Za-z_]\w*"
    r"|\.\.\.|<<=|>>=|->|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|[^\s])", re.S | re.M)
OPEN = {"(": ")", "[": "]", "{": "}"}
CLOSE = {v: k for k, v in OPEN.items()}
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
CONTROL = {"if", "while", "for", "switch"}
JUMPS = {"return", "break", "continue", "goto", "case", "default", "do", "else"} | CONTROL
TYPES = {"const", "static", "struct", "enum", "union", "int", "char", "short", "long", "float", "double", "unsigned", "signed", "void", "size_t",
         "typedef", "extern", "register"}


class Refused(Exception):
    pass


def tokens_of(text):
    found = []
    for m in TOKEN.finditer(text):
        kind = m.lastgroup
        if kind != "skip":
            found.append(Token(m.group(), m.start(), m.end()))
    return found


def read_table(path):
    rows, seen = [], set()
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if not 5 <= len(fields) <= 6 or not fields[0].isdigit() or int(fields[0]) < 1:
            sys.exit("%s:%d: a number, file, old, new, tests and perhaps a reason are wanted, by tabs; found %d fields" % (path, number, len(fields)))
        row = Row(int(fields[0]), *(fields[1:] + [""])[:5])
        if row.id in seen:
            sys.exit("%s:%d: id %d stands twice" % (path, number, row.id))
        seen.add(row.id)
        rows.append(row)
    return rows


class Source:
    """A file as tokens, with the bracket that each one stands in."""

    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.words = [t.text for t in self.tokens]
        self.match = {}  # of a bracket: its partner
        self.inside = []  # of each token: the bracket that it stands in, -1 for none
        stack = []
        for i, w in enumerate(self.words):
            if w in CLOSE and stack:
                j = stack.pop()
                self.match[i], self.match[j] = j, i
            self.inside.append(stack[-1] if stack else -1)
            if w in OPEN:
                stack.append(i)

    def line(self, i):
        return self.text.count("\n", 0, self.tokens[i].begin) + 1

    def find(self, old):
        words, n = self.words, len(old)
        at = [i for i in range(len(words) - n + 1) if words[i] == old[0] and words[i:i + n] == old]
        if len(at) > 1:  # whole lines before parts of lines
            at = [i for i in at if self.begins_line(i) and self.ends_line(i + n - 1)] or at
        if len(at) != 1:
            raise Refused("its old text is not in the file" if not at else "its old text stands in the file %d times (lines %s)" %
                          (len(at), ", ".join(str(self.line(i)) for i in at)))
        return at[0]

    def begins_line(self, i):
        return i == 0 or "\n" in self.text[self.tokens[i - 1].end:self.tokens[i].begin]

    def ends_line(self, i):
        return i + 1 == len(self.tokens) or "\n" in self.text[self.tokens[i].end:self.tokens[i + 1].begin]

    def is_loop_macro(self, i):
        """json_array_foreach(list, i, v) and its like: a call that a statement follows"""
        if not re.fullmatch(r"[A-Za-z_]\w*", self.words[i]) or self.words[i + 1:i + 2] != ["("]:
            return False
        end = self.match.get(i + 1)
        return end is not None and "foreach" in self.words[i] and self.words[end + 1] != ";"

    def statement(self, i):
        """the end of the statement that begins at token i"""
        w = self.words[i]
        if w == "{":
            return self.match[i] + 1
        if w in CONTROL or self.is_loop_macro(i):
            end = self.statement(self.match[i + 1] + 1)
            return self.statement(end + 1) if w == "if" and self.words[end] == "else" else end
        if w == "do":
            end = self.statement(i + 1)
            return self.match[end + 1] + 2
        while self.words[i] != ";":
            if self.words[i] == "}" or self.words[i].startswith("#"):
                raise Refused("no whole statement is around it")
            i = self.match[i] + 1 if self.words[i] in OPEN else i + 1
        return i + 1


def balanced(words):
    depth = []
    for w in words:
        if w in OPEN:
            depth.append(w)
        elif w in CLOSE and (not depth or depth.pop() != CLOSE[w]):
            return False
    return not depth


def top_level(words):
    """those outside all brackets"""
    depth, out = 0, []
    for w in words:
        if w in CLOSE:
            depth -= 1
        elif depth == 0:
            out.append(w)
        if w in OPEN:
            depth += 1
    return out


class Place:
    """Tokens [a, b) of a source, and the words that replace them; grown until it can be chosen at run time."""

    def __init__(self, source, a, b, new):
        self.s, self.a, self.b, self.new, self.kind = source, a, b, new, None

    def old(self):
        return self.s.words[self.a:self.b]

    def grow(self, a, b):
        words = self.s.words
        self.new = words[a:self.a] + self.new + words[self.b:b]
        self.a, self.b = a, b

    def enclose(self):
        """to the brackets around it and what belongs to them"""
        at = self.s.inside[self.a]
        if at < 0 or self.s.words[at] == "{":
            raise Refused("it is part of a declaration or a table")
        self.grow(at, self.s.match[at] + 1)

    def level(self):
        """until its brackets close, on both sides"""
        while not balanced(self.old()):
            inside = range(self.a, self.b)
            apart = [i for i in inside if i in self.s.match and self.s.match[i] not in inside]
            if not apart:
                raise Refused("its brackets do not close")
            partner = self.s.match[apart[0]]
            self.grow(min(self.a, partner), max(self.b, partner + 1))
        if not balanced(self.new):
            self.enclose()
            self.level()

    def widen(self):
        """to the ends of the expression: a comma, a semicolon, an assignment, a bracket"""
        words, match = self.s.words, self.s.match
        a, b = self.a, self.b
        ends = {",", ";", "?", ":", "return", "case", "else", "do"} | ASSIGN
        while a > 0 and words[a - 1] not in ends and words[a - 1] not in OPEN and not words[a - 1].startswith("#"):
            w = words[a - 1]
            if w == "}" and words[match[a - 1] - 1] not in (")", "]", "="):
                break
            if w == ")" and words[match[a - 1] - 1] in CONTROL or w == ")" and "foreach" in words[match[a - 1] - 1]:
                break
            a = match[a - 1] if w in CLOSE else a - 1
        while b < len(words) and words[b] not in ends - {"return", "case"} and words[b] not in CLOSE:
            b = match[b] + 1 if words[b] in OPEN else b + 1
        self.grow(a, b)

    def as_expression(self):
        """True: it is one; False: it is a statement"""
        while True:
            self.level()
            self.widen()
            if self.s.words[self.b] in ASSIGN:  # no value, but what one is assigned to
                self.grow(self.a, self.b + 1)
                continue
            shallow = top_level(self.old()) + top_level(self.new)
            if any(w in JUMPS or w == ";" for w in shallow):
                return False
            if any(w in ASSIGN for w in shallow):
                at = self.s.inside[self.a]
                if at >= 0 and self.s.words[at] == "(":  # an argument that assigns, or the head of a loop
                    while self.s.words[self.a - 1] in ASSIGN or self.s.words[self.a - 1] not in (",", ";", "("):
                        self.grow(self.a - 1, self.b)
                    self.widen_right()
                    return True
                return False
            left, right = (max(x) for x in zip(self.choice(self.old()), self.choice(self.new)))
            if left and self.s.words[self.a - 1] in ("?", ":"):
                self.grow(self.a - 1, self.b)
                continue
            if right and self.s.words[self.b] in ("?", ":"):
                self.grow(self.a, self.b + 1)
                continue
            if left or right:
                return False
            if self.s.words[self.b] == "?" and "?" in shallow:  # a choice whose last part is the condition of another: both belong together
                self.grow(self.a, self.b + 1)
                continue
            if "," in shallow:
                self.enclose()
                continue
            break
        return bool(self.old()) and bool(self.new) and not self.is_statement()

    def widen_right(self):
        words, match = self.s.words, self.s.match
        while words[self.b] not in (",", ";") and words[self.b] not in CLOSE:
            self.grow(self.a, match[self.b] + 1 if words[self.b] in OPEN else self.b + 1)

    @staticmethod
    def choice(words):
        """how many `?` are wanting before these words, and how many `:` after them"""
        before = after = 0
        for w in top_level(words):
            if w == "?":
                after += 1
            elif w == ":":
                before, after = (before, after - 1) if after else (before + 1, 0)
        return before, after

    def is_statement(self):
        at = self.s.inside[self.a]
        before = self.s.words[self.a - 1]
        if at >= 0 and self.s.words[at] != "{":
            return False
        control = before == ")" and (self.s.words[self.s.match[self.a - 1] - 1] in CONTROL or "foreach" in self.s.words[self.s.match[self.a - 1] - 1])
        return self.s.words[self.b:self.b + 1] == [";"] and (before in (";", "{", "}", "else", "do", ":") or control)

    def to_statements(self):
        words, s = self.s.words, self.s
        while s.inside[self.a] >= 0 and words[s.inside[self.a]] != "{":
            self.enclose()
        a = self.a
        while a > 0 and words[a - 1] not in (";", "{", "}") and not words[a - 1].startswith("#"):
            a = s.match[a - 1] if words[a - 1] in CLOSE else a - 1
        while words[a] == "else" or words[a] in ("case", "default") or words[a + 1] == ":":
            a = a + 1 if words[a] == "else" else words.index(":", a) + 1
        end = a
        while end < self.b or end == a:
            end = s.statement(end)
        self.grow(min(a, self.a), end)
        if words[self.a] in TYPES or re.match(r"(json_t|FILE|u?int\d*_t|size_t|ssize_t)$", words[self.a]):
            raise Refused("it is a declaration: quote an expression of its initial value")

    def settle(self):
        try:
            saved = (self.a, self.b, self.new)
            self.kind = "expr" if self.as_expression() else "stmt"
        except Refused:
            self.a, self.b, self.new = saved
            self.kind = "stmt"
        if self.kind == "stmt":
            self.to_statements()
        outermost, begin = self.s.inside[self.a], self.a
        while outermost >= 0 and self.s.inside[outermost] >= 0:
            outermost = self.s.inside[outermost]
        if outermost < 0 or self.s.words[outermost] != "{" or self.s.words[outermost - 1] != ")":
            raise Refused("it stands outside of functions: nothing there can be chosen at run time")
        while begin > outermost + 1 and self.s.words[begin - 1] != ";":
            begin -= 1
        if self.s.words[begin] == "static":
            raise Refused("it is the initial value of a static variable: nothing there can be chosen at run time")


def place_of(source, row):
    old, new = [t.text for t in tokens_of(row.old)], [t.text for t in tokens_of(row.new)]
    if not old:
        raise Refused("it quotes no old text")
    if old == new:
        raise Refused("old and new are the same")
    if old[0].startswith("#"):
        return define_of(source, row)
    try:
        at = source.find(old)
    except Refused:
        at, old, new = find_text(source, row)
    p = 0
    while p < min(len(old), len(new)) and old[p] == new[p]:
        p += 1
    q = 0
    while q < min(len(old), len(new)) - p and old[-1 - q] == new[-1 - q]:
        q += 1
    changed = old[p:len(old) - q]
    place = Place(source, at + p, at + len(old) - q, new[p:len(new) - q] or ([";"] if changed and changed[-1] in (";", "}") else []))
    place.settle()
    return place


def find_text(source, row):
    """for an old text that begins or ends within a token, such as the end of a message: (first token, old words, new words)"""
    old, text = row.old.strip(), source.text
    if old.count("/*") != old.count("*/"):
        raise Refused("its old text begins or ends within a comment")
    if text.count(old) != 1:
        source.find([t.text for t in tokens_of(row.old)])  # which says why
    begin = text.index(old)
    end = begin + len(old)
    inside = [i for i, t in enumerate(source.tokens) if t.end > begin and t.begin < end]
    if not inside:
        raise Refused("its old text is a comment")
    a, b = inside[0], inside[-1]
    rest = re.match(r"\w*", old).group()
    if begin > source.tokens[a].begin and rest and re.match(r"[A-Za-z_]", source.words[a]) and not re.match(re.escape(rest) + r"\b", row.new.strip()):
        raise Refused("its old text begins within a name")
    first, last = min(begin, source.tokens[a].begin), max(end, source.tokens[b].end)
    new = text[first:begin] + row.new.strip() + text[end:last]
    return a, source.words[a:b + 1], [t.text for t in tokens_of(new)]


def define_of(source, row):
    """`#define NAME value`: the value is chosen wherever it is used"""
    shape = re.compile(r"\s*#\s*define\s+(\w+(?:\([^)]*\))?)\s+(.*)", re.S)
    old, new = shape.fullmatch(row.old.strip()), shape.fullmatch(row.new.strip())
    if not old or not new or old.group(1) != new.group(1):
        raise Refused("only the value of a #define can be changed")
    at = [i for i, w in enumerate(source.words) if w.startswith("#") or w.lstrip().startswith("#")]
    at = [i for i in at if (m := shape.fullmatch(source.words[i])) and m.group(1) == old.group(1) and
          strip(m.group(2)) == strip(old.group(2))]
    if len(at) != 1:
        raise Refused("that #define stands in the file %d times" % len(at))
    place = Place(source, at[0], at[0] + 1, [])
    place.kind = "define"
    place.name, place.values = old.group(1), (strip(old.group(2)), strip(new.group(2)))
    return place


def strip(text):
    return " ".join(t.text for t in tokens_of(text))


def selected(row):
    return "((nst_mutant == %d || nst_mutant < 0) && nst_here(%d))" % (row.id, row.id)


def write(source, places, begin, end):
    """text of tokens [begin, end), those places that lie within it planted, outer ones first"""
    out, at = [], begin
    cursor = source.tokens[begin].begin
    while places:
        row, place = places[0]
        inner = [x for x in places[1:] if x[1].a >= place.a and x[1].b <= place.b]
        rest = [x for x in places[1:] if x not in inner]
        out.append(source.text[cursor:source.tokens[place.a].begin])
        old = write(source, inner, place.a, place.b)
        new = " ".join(place.new)
        if place.kind == "define":
            out.append("#define %s (%s ? (%s) : (%s))" % (place.name, selected(row), place.values[1], place.values[0]))
        elif place.kind == "stmt":
            out.append("{ if %s { %s } else { %s } }" % (selected(row), new, old))
        else:  # its type stays that of the old text, whatever the new one is: unselected, nothing changes
            flat = " ".join(source.words[place.a:place.b])
            out.append("(__extension__({ __typeof__((void)0, (%s)) nst_%d; if %s nst_%d = (%s); else nst_%d = (%s); nst_%d; }))" %
                       (flat, row.id, selected(row), row.id, new, row.id, old, row.id))
        cursor = source.tokens[place.b - 1].end
        at = place.b
        places = rest
    out.append(source.text[cursor:source.tokens[end - 1].end])
    return "".join(out)


def check_crossing(placed, refused):
    """places lie within each other or apart"""
    good = []
    for row, place in sorted(placed, key=lambda x: (x[1].a, -x[1].b, x[0].id)):
        for other, p in good:
            if p.a < place.a < p.b < place.b or "define" in (p.kind, place.kind) and p.a == place.a:
                refused.append((row.id, "its place crosses that of mutant %d" % other.id))
                break
        else:
            good.append((row, place))
    return good


def plant(path, shown, rows, refused):
    """the planted text of one file, and [(row, line)]"""
    source = Source(open(path, encoding="utf-8").read())
    placed = []
    for row in rows:
        try:
            placed.append((row, place_of(source, row)))
        except Refused as e:
            refused.append((row.id, "%s: %s" % (shown, e)))
    good = check_crossing(placed, refused)
    head = HEAD + "#line 1 \"%s\"\n" % path
    text = source.text[:source.tokens[0].begin] + write(source, good, 0, len(source.tokens)) + "\n" if good else source.text
    return head + text, [(row, source.line(place.a)) for row, place in good]


def find_file(root, name):
    if os.path.isfile(os.path.join(root, name)):
        return name
    found = [os.path.relpath(os.path.join(d, f), root) for room in ROOMS for d, _, files in os.walk(os.path.join(root, room)) for f in files
             if f == os.path.basename(name)]
    if len(found) != 1:
        raise Refused("%s: is not there, and %d files of its base name are" % (name, len(found)))
    return found[0]


def check_kind(name):
    if not name.endswith((".c", ".h")):
        raise Refused("%s: only .c and .h files are planted" % name)


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    table, root, out = sys.argv[1], os.path.realpath(sys.argv[2]), os.path.realpath(sys.argv[3])
    files, refused, planted, sources, copies = collections.OrderedDict(), [], [], [], set()
    for row in read_table(table):
        try:
            name = find_file(root, row.file)
            check_kind(name)
            files.setdefault(name, []).append(row)
        except Refused as e:
            refused.append((row.id, str(e)))
    for name, rows in sorted(files.items()):
        text, places = plant(os.path.join(root, name), name, rows, refused)
        if not places:
            continue
        put(os.path.join(out, name), text)
        copies.add(name)
        sources.append("%s %s\n" % (os.path.join(root, name), os.path.join(out, name)))
        planted += [(row.id, name, line) for row, line in places]
    for folder, _, names in os.walk(out):  # what is planted no more; an old header would be found before the real one
        for name in names:
            if folder != out and os.path.relpath(os.path.join(folder, name), out) not in copies:
                os.remove(os.path.join(folder, name))
    put(os.path.join(out, "sources"), "".join(sources))
    put(os.path.join(out, "planted"), "".join("%d %s %d\n" % p for p in sorted(planted)))
    put(os.path.join(out, "refused"), "".join("%d %s\n" % r for r in sorted(refused)))
    for r in sorted(refused):
        print("plant: mutant %d is not planted: %s" % r, file=sys.stderr)
    print("plant: %d mutants in %d files, %d refused" % (len(planted), len(sources), len(refused)))


if __name__ == "__main__":
    main()
