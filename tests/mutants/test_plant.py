#!/usr/bin/env python3
"""What plant.py makes of a small program with places of every kind: unselected it prints what the original prints, selected what the mutated
text would; what cannot be chosen at run time is refused with a reason."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = r"""#include <stdio.h>
#include <string.h>
#define LIMIT 10 /* a comment */
static int table[] = {1, 2, 3};
static const char *name(int x) { return x < 0 ? "less" : x > 0 ? "more" : "none"; }
static void say(const char *text) { printf("%s ", text); }
static unsigned small(unsigned x) { return x / 2; }
static int within(int x) { return x < -5 ? -5 : x > 7 ? 7 : x; }
static int sum(const int *x, int n)
{
	int i, all = 0;

	for (i = 0; i < n; i++) /* each */
		all += x[i];
	return all;
}
int main(void)
{
	int a = 3, b = -1; char text[8] = "abc";
	printf("%d ", a > 2 && b < 0);
	printf("%s %s ", name(a), name(b));
	if (a == 3)
		say("three");
	else if (a == 4)
		say("four");
	else
		say("other");
	printf("%d %d ", sum(table, 3), LIMIT);
	printf("%u ", small((unsigned)b));
	printf("[%d] ", within(10 * b));
	memcpy(text, "xyz", 2);
	say(text); say("end");
	if (b < a) a -= b;
	printf("%d %d\n", a,
	       b);
	return 0;
}
"""
PLAIN = "1 more less three 6 10 2147483647 [-5] xyc end 4 -1\n"
ROWS = [  # old, new, what is printed, or what the refusal says
    ("a > 2 && b < 0", "a > 2 && b > 0", PLAIN.replace("1 more", "0 more", 1)),
    ("a > 2 && b < 0", "a > 5 && b < 0", PLAIN.replace("1 more", "0 more", 1)),  # at the same place
    ("a > 2", "a > 3", PLAIN.replace("1 more", "0 more", 1)),  # within another
    ('x < 0 ? "less" : x > 0 ? "more" : "none"', 'x < 0 ? "more" : x > 0 ? "less" : "none"', PLAIN.replace("more less", "less more")),
    ("x < -5 ? -5", "x < -6 ? -6", PLAIN.replace("-5", "-6")),  # its last part is the condition of another choice
    ("if (a == 3)", "if (a != 3)", PLAIN.replace("three", "other")),
    ('say("three");', "", PLAIN.replace("three ", "")),
    ('else if (a == 4) say("four");', 'else if (a == 4) say("five");', PLAIN),
    ("all += x[i];", "all -= x[i];", PLAIN.replace(" 6 ", " -6 ")),
    ("i < n; i++", "i + 1 < n; i++", PLAIN.replace(" 6 ", " 3 ")),
    ("i++) /* each */", "i += 2)", PLAIN.replace(" 6 ", " 4 ")),
    ("#define LIMIT 10", "#define LIMIT 11", PLAIN.replace(" 10 ", " 11 ")),
    ("return x / 2;", "return -1;", PLAIN.replace("2147483647", "4294967295")),
    ("small((unsigned)b)", "small((unsigned)a)", PLAIN.replace("2147483647", "1")),
    ('memcpy(text, "xyz", 2);', 'memcpy(text, "xyz", 3);', PLAIN.replace("xyc", "xyz")),
    ('memcpy(text, "xyz", 2);', 'memcpy(text, "pqr", 2);', PLAIN.replace("xyc", "pqc")),
    ('say(text); say("end");', 'say("end"); say(text);', PLAIN.replace("xyc end", "end xyc")),
    ("if (b < a) a -= b;", "if (b < a) a += b;", PLAIN.replace("4 -1", "2 -1")),
    ("if (b < a) a -= b;", "a -= 2 * b;", PLAIN.replace("4 -1", "5 -1")),
    ("printf(\"%d %d\\n\", a, b);", "printf(\"%d %d\\n\", b, a);", PLAIN.replace("4 -1", "-1 4")),
    ("static int table[] = {1, 2, 3};", "static int table[] = {1, 2, 4};", "outside of functions"),
    ("int a = 3, b = -1;", "long a = 3, b = -1;", "declaration"),
    ("a == 5", "a == 6", "not in the file"),
    ("say(", "sum(", "stands in the file"),
    ('say("end"); if (b < a) a -= b;', "", "crosses"),
    ("return 0;", "return 0;", "the same"),
    ("mall((unsigned)b)", "7u", "within a name"),
    ("i < n; i++) /* ea", "i < n; i += 2) /* ea", "within a comment"),
]


def main():
    work = tempfile.mkdtemp(prefix="plant.")
    failed = []
    try:
        os.makedirs(os.path.join(work, "host", "moved"))
        with open(os.path.join(work, "host", "moved", "a.c"), "w", encoding="utf-8") as f:
            f.write(PROGRAM)
        with open(os.path.join(work, "table"), "w", encoding="utf-8") as f:  # the file has moved since the row was written
            f.writelines("%d\thost/a.c\t%s\t%s\tnone\n" % (i, old, new) for i, (old, new, _) in enumerate(ROWS, 1))
        subprocess.run([os.path.join(HERE, "plant.py"), "table", ".", "out"], cwd=work, check=True, capture_output=True)
        refused = dict(line.rstrip("\n").split(" ", 1) for line in open(os.path.join(work, "out", "refused"), encoding="utf-8"))
        program = os.path.join(work, "program")
        subprocess.run(["cc", "-w", "-O1", "-o", program, os.path.join(work, "out/host/moved/a.c"), os.path.join(HERE, "mutant.c")], check=True)
        reachable = {i for i, row in enumerate(ROWS, 1) if str(i) not in refused and "five" not in row[1]}
        for i, (old, _, wanted) in [(-1, ("", "", PLAIN)), (0, ("", "", PLAIN))] + list(enumerate(ROWS, 1)):
            if str(i) in refused:
                if wanted not in refused[str(i)]:
                    failed.append("%d: %s: refused: %s" % (i, old, refused[str(i)]))
                continue
            reached = os.path.join(work, "reached")
            with open(reached, "wb") as f:
                f.truncate(65536)
            env = dict(os.environ, NST_MUTANT=str(i), NST_MUTANT_REACHED=reached)
            got = subprocess.run([program], env=env, capture_output=True, text=True, check=False).stdout
            if got != wanted:
                failed.append("%d: %s: wanted %r, got %r" % (i, old, wanted, got))
            said = {k for k, b in enumerate(open(reached, "rb").read()) if b}
            if said != (reachable if i < 0 else reachable & {i}):
                failed.append("%d: %s: which places were reached is said wrong: %s" % (i, old, sorted(said)))
    finally:
        shutil.rmtree(work)
    print("\n".join(failed) or "%d places are planted or refused as they must be" % len(ROWS))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
