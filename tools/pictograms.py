#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the pictogram of every class of taxonomy/de.json into taxonomy/de/CODE.svg.

The designs are statutory; the drawings are this file's. Only a small part of SVG is
used (circle, path with M L C Z, flat fill or stroke), because tools/embed_signs.py turns
the same files into polygons for the demo's road scenes. Run it after a change here: the
SVG files are kept in the tree. `pictograms.py FOLDER` draws into another folder.
"""
import json
import math
import pathlib
import re
import sys

RED, BLUE, BLACK, WHITE, YELLOW, GREY = "#c1121c", "#14508c", "#16181a", "#ffffff", "#f7c600", "#8d9296"
KAPPA = 0.5522847498


def num(v):
    text = f"{v:.1f}"
    return text[:-2] if text.endswith(".0") else text


def points(*xy):
    return list(zip(xy[::2], xy[1::2]))


def poly(pts, close=True):
    head, *rest = pts
    text = f"M{num(head[0])} {num(head[1])}" + "".join(f"L{num(x)} {num(y)}" for x, y in rest)
    return text + ("Z" if close else "")


def arc(cx, cy, rx, ry, a0, a1, start="M"):
    """An elliptic arc by cubics; degrees, 0 is right, 90 is down."""
    n = max(1, math.ceil(abs(a1 - a0) / 90 - 1e-9))
    step = math.radians(a1 - a0) / n
    k = 4 / 3 * math.tan(step / 4)
    a = math.radians(a0)
    text = f"{start}{num(cx + rx * math.cos(a))} {num(cy + ry * math.sin(a))}"
    for _ in range(n):
        b = a + step
        x0, y0, x1, y1 = math.cos(a), math.sin(a), math.cos(b), math.sin(b)
        pts = [(x0 - k * y0, y0 + k * x0), (x1 + k * y1, y1 - k * x1), (x1, y1)]
        text += "C" + " ".join(f"{num(cx + rx * x)} {num(cy + ry * y)}" for x, y in pts)
        a = b
    return text


def fill(d, colour=BLACK):
    return f'<path d="{d}" fill="{colour}"/>'


def line(d, width, colour=BLACK, cap="butt"):
    extra = ' stroke-linecap="round"' if cap == "round" else ""
    return (f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{num(width)}" '
            f'stroke-linejoin="round"{extra}/>')


def disc(cx, cy, r, colour=BLACK):
    return f'<circle cx="{num(cx)}" cy="{num(cy)}" r="{num(r)}" fill="{colour}"/>'


def head(x, y, angle, length, width, colour=BLACK):
    """Arrow head whose tip is at (x, y), pointing to `angle` (0 right, 90 down)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    bx, by = x - length * c, y - length * s
    return fill(poly([(x, y), (bx - s * width / 2, by + c * width / 2), (bx + s * width / 2, by - c * width / 2)]),
                colour)


# Faces

def rounded(pts, radius):
    """A polygon with round corners."""
    text, n = "", len(pts)
    for i, p in enumerate(pts):
        def towards(q):
            d = math.dist(p, q)
            return (p[0] + (q[0] - p[0]) * radius / d, p[1] + (q[1] - p[1]) * radius / d)
        a, b = towards(pts[i - 1]), towards(pts[(i + 1) % n])
        text += f"{'L' if text else 'M'}{num(a[0])} {num(a[1])}"
        c1 = (a[0] + (p[0] - a[0]) * KAPPA, a[1] + (p[1] - a[1]) * KAPPA)
        c2 = (b[0] + (p[0] - b[0]) * KAPPA, b[1] + (p[1] - b[1]) * KAPPA)
        text += "C" + " ".join(f"{num(x)} {num(y)}" for x, y in (c1, c2, b))
    return text + "Z"


def warning(*symbol, down=False):
    def tri(inset, radius):
        cx, cy, r = 100, 126, 122 - inset
        pts = [(cx + r * math.cos(math.radians(a)), cy + r * math.sin(math.radians(a))) for a in (-90, 30, 150)]
        return [(x, 200 - y) for x, y in pts] if down else pts, radius
    faces = [fill(rounded(*tri(i, r)), c) for i, r, c in ((10, 22, WHITE), (17, 19, RED), (50, 9, WHITE))]
    return faces + list(symbol)


def ring(*symbol):
    return [disc(100, 100, 96, WHITE), disc(100, 100, 92, RED), disc(100, 100, 70, WHITE), *symbol]


def mandatory(*symbol):
    return [disc(100, 100, 96, WHITE), disc(100, 100, 91, BLUE), *symbol]


def ended(*symbol):
    c = math.sqrt(0.5)
    bars = []
    for off in (-24, -12, 0, 12, 24):
        half = math.sqrt(82 ** 2 - off ** 2)
        mx, my = 100 + off * c, 100 + off * c
        bars.append(line(poly(points(mx - half * c, my + half * c, mx + half * c, my - half * c), False), 5))
    return [disc(100, 100, 96, WHITE), disc(100, 100, 92, BLACK), disc(100, 100, 87, WHITE), *symbol, *bars]


# Letters and digits: one stroke on a box of w x h at (x, y)

def glyph(ch, x, y, w, h, t, colour):
    r, m, b = w / 2, x + w / 2, y + h
    up, lo = y + h * 0.25, y + h * 0.74
    arcs = {
        "0": arc(m, y + r, r, r, 180, 360) + arc(m, b - r, r, r, 0, 180, "L") + "Z",
        "1": poly(points(x + w * .1, y + h * .26, m + w * .12, y, m + w * .12, b + t / 2), False),
        "2": arc(m, y + r, r, r, 190, 395) + f"L{num(x)} {num(b)}L{num(x + w + t * .3)} {num(b)}",
        "3": arc(m, up, r * .92, h * .25, 200, 450) + arc(m, lo, r, h * .26, 270, 525),
        "5": poly(points(x + w * .95, y, x + w * .14, y, x + w * .06, y + h * .47), False)
             + arc(m - w * .02, lo - h * .05, r * 1.02, h * .31, 215, 505, "L"),
        "6": arc(m, b - h * .3, r, h * .3, 180, 540) + "Z" + f"M{num(x + w * .8)} {num(y)}"
             + f"C{num(x + w * .3)} {num(y + h * .12)} {num(x)} {num(y + h * .4)} {num(x)} {num(b - h * .3)}",
        "7": poly(points(x - w * .02, y, x + w, y, x + w * .36, b + t / 2), False),
        "8": arc(m, up, r * .9, h * .25, 0, 360) + "Z" + arc(m, lo, r, h * .26, 0, 360) + "Z",
        "S": arc(m, up, r, h * .25, 335, 90) + arc(m, lo, r, h * .26, 270, 515),
        "T": poly(points(x - t * .3, y, x + w + t * .3, y), False) + poly(points(m, y, m, b + t / 2), False),
        "O": arc(m, y + r, r, r, 180, 360) + arc(m, b - r, r, r, 0, 180, "L") + "Z",
        "P": poly(points(x, b + t / 2, x, y, x + w * .45, y), False)
             + arc(x + w * .45, y + h * .27, w * .6, h * .27, 270, 450, "L") + f"L{num(x)} {num(y + h * .54)}",
    }
    return line(arcs[ch], t, colour)


def number(text, colour=BLACK):
    w, h, t, gap = (34, 74, 15, 22) if len(text) == 2 else (25, 66, 12.5, 18.5)
    widths = [w * .55 if c == "1" else w for c in text]
    x = 100 - (sum(widths) + gap * (len(text) - 1)) / 2
    out = []
    for ch, cw in zip(text, widths):
        out.append(glyph(ch, x, 100 - h / 2, cw, h, t, colour))
        x += cw + gap
    return "".join(out)


def car(cx, base, s, colour):
    """A car from behind, s its half width."""
    def at(*xy):
        return [(cx + x * s, base + y * s) for x, y in points(*xy)]
    body = rounded(at(-1, -.25, -1, -.95, -.86, -1.08, -.62, -1.72, .62, -1.72, .86, -1.08, 1, -.95, 1, -.25), s * .1)
    glass = WHITE
    return (fill(body, colour) + fill(poly(at(-.52, -1.55, .52, -1.55, .68, -1.1, -.68, -1.1)), glass)
            + fill(poly(at(-.9, -.3, -.5, -.3, -.5, 0, -.9, 0)), colour)
            + fill(poly(at(.5, -.3, .9, -.3, .9, 0, .5, 0)), colour)
            + disc(cx - .7 * s, base - .68 * s, .13 * s, glass) + disc(cx + .7 * s, base - .68 * s, .13 * s, glass))


def lorry_behind(cx, base, s, colour):
    def at(*xy):
        return [(cx + x * s, base + y * s) for x, y in points(*xy)]
    return (fill(poly(at(-1, -.62, -1, -2.3, 1, -2.3, 1, -.62)), colour)
            + fill(poly(at(-.92, -.5, .92, -.5, .92, -.32, -.92, -.32)), colour)
            + fill(poly(at(-.86, -.4, -.48, -.4, -.48, 0, -.86, 0)), colour)
            + fill(poly(at(.48, -.4, .86, -.4, .86, 0, .48, 0)), colour))


def person(x, y, s, legs, arms, lean=0.0):
    """A walking figure; the head's centre at (x, y), s the length of the body."""
    hip = (x - lean * s, y + s * .95)
    neck = (x - lean * s * .25, y + s * .28)
    out = disc(x, y, s * .2) + line(poly([neck, hip], False), s * .33, cap="round")
    for a, b in legs:
        out += line(poly([hip, (hip[0] + a[0] * s, hip[1] + a[1] * s), (hip[0] + b[0] * s, hip[1] + b[1] * s)], False),
                    s * .17, cap="round")
    shoulder = (neck[0], neck[1] + s * .04)
    for a, b in arms:
        out += line(poly([shoulder, (shoulder[0] + a[0] * s, shoulder[1] + a[1] * s),
                          (shoulder[0] + b[0] * s, shoulder[1] + b[1] * s)], False), s * .13, cap="round")
    return out


# Symbols

def flip(svg):
    """Mirrors left and right: every x of our own subset."""
    def path(m):
        nums = iter(re.findall(r"[MLCZ]|-?[\d.]+", m.group(1)))
        out, is_x = "", True
        for tok in nums:
            if tok in "MLCZ":
                out, is_x = out + tok, True
            else:
                value = num(200 - float(tok)) if is_x else tok
                out += ("" if out and out[-1] in "MLC" else " ") + value
                is_x = not is_x
        return f'd="{out}"'
    svg = re.sub(r'\bd="([^"]*)"', path, svg)
    return re.sub(r'cx="([^"]*)"', lambda m: f'cx="{num(200 - float(m.group(1)))}"', svg)


def shrink(svg, by, cx, cy):
    """Scales paths and stroke widths around (cx, cy)."""
    def path(m):
        axis = iter((cx, cy) * 999)
        text = re.sub(r"-?[\d.]+", lambda n: (lambda c: num(c + (float(n.group()) - c) * by))(next(axis)), m.group(1))
        return f'd="{text}"'
    svg = re.sub(r'\bd="([^"]*)"', path, svg)
    return re.sub(r'stroke-width="([^"]*)"', lambda m: f'stroke-width="{num(float(m.group(1)) * by)}"', svg)


def bend_left():
    return fill("M129 161L129 126C129 107 120 99 101 99L76 97L70 107L97 115C108 118 112 123 112 134L112 161Z")


def double_bend():
    return fill(poly(points(85, 82, 99, 97, 99, 117, 127, 108, 127, 163, 112, 163, 112, 127, 84, 136)))


def uneven():
    return fill("M48 156L48 146C58 146 60 122 74 122C88 122 88 146 100 146C112 146 112 122 126 122C140 122 142 146 152 146"
                "L152 156Z")


def slippery():
    trail = (line("M86 136C70 141 98 147 84 153C78 156 70 160 62 160", 5.5)
             + line("M114 135C102 141 128 146 114 152C124 157 132 159 140 158", 5.5))
    tilted = fill(poly(points(72, 119, 78, 103, 86, 99, 97, 82, 118, 88, 119, 107, 126, 113, 122, 128, 108, 124, 105, 131,
                              94, 128, 96, 121, 86, 118, 83, 125, 73, 122)))
    return trail + tilted + fill(poly(points(91, 99, 99, 88, 113, 92, 113, 104)), WHITE)


def narrows_right():
    return line("M82 162L82 92", 13) + line("M126 162L126 142C126 128 110 130 110 116L110 92", 13)


def works():
    worker = disc(97, 88, 9)
    worker += line("M92 102L84 124", 16, cap="round")
    worker += line("M84 126L96 140L90 160", 9, cap="round") + line("M83 126L76 144L62 158", 9, cap="round")
    worker += line("M93 103L106 118L118 122", 8, cap="round") + line("M90 108L96 126L108 130", 7, cap="round")
    shovel = line("M92 118L134 140", 5) + fill(poly(points(130, 134, 146, 142, 140, 152, 126, 144)))
    heap = fill("M112 164C118 148 128 146 136 150C146 154 152 158 154 164Z")
    return worker + shovel + heap


def lights():
    body = fill(rounded(points(81, 84, 119, 84, 119, 164, 81, 164), 8))
    return body + disc(100, 100, 10.5, RED) + disc(100, 124, 10.5, YELLOW) + disc(100, 148, 10.5, "#1f9d4d")


def walker():
    legs = [((.2, .42), (.42, .86)), ((-.16, .45), (-.42, .86))]
    arms = [((.22, .3), (.46, .42)), ((-.2, .28), (-.34, .56))]
    bars = "".join(fill(poly(points(x, 156, x + 9, 156, x + 5, 166, x - 4, 166))) for x in (58, 76, 94, 112, 130))
    return person(100, 84, 37, legs, arms, .04) + bars


def children():
    run = [((.34, .3), (.5, .74)), ((-.3, .38), (-.66, .62))]
    arms = [((.28, .22), (.56, .1)), ((-.24, .26), (-.5, .34))]
    return person(82, 92, 40, run, arms, .12) + person(122, 110, 30, run, arms, .12)


def bicycle():
    wheels = line(arc(74, 143, 18, 18, 0, 360) + "Z", 5) + line(arc(127, 143, 18, 18, 0, 360) + "Z", 5)
    frame = (line("M74 143L89 117L116 117L100 143ZM89 117L100 143", 5)
             + line("M127 143L114 106L104 103", 5, cap="round"))
    return wheels + frame + line("M89 117L85 106", 5) + line("M77 105L93 105", 6, cap="round")


def snowflake():
    out = ""
    for a in range(0, 360, 60):
        c, s = math.cos(math.radians(a + 30)), math.sin(math.radians(a + 30))
        out += line(poly(points(100, 127, 100 + 37 * c, 127 + 37 * s), False), 6.5, cap="round")
        for side in (-45, 45):
            c2, s2 = math.cos(math.radians(a + 30 + side)), math.sin(math.radians(a + 30 + side))
            x, y = 100 + 22 * c, 127 + 22 * s
            out += line(poly(points(x, y, x + 12 * c2, y + 12 * s2), False), 5, cap="round")
    return out


def deer():
    body = fill("M64 112C70 106 82 108 92 106C102 104 110 100 114 90L122 82L134 90L132 95L123 97C121 108 116 116 110 120"
                "L100 124C90 126 78 126 72 128C64 128 60 120 64 112Z")
    legs = (line("M108 116L128 118L136 126", 6, cap="round") + line("M102 120L118 130L124 138", 6, cap="round")
            + line("M72 122L60 134L62 148", 6.5, cap="round") + line("M66 120L50 132L46 146", 6.5, cap="round"))
    antlers = (line("M120 84L110 76L108 66", 4, cap="round") + line("M113 78L104 76", 4, cap="round")
               + line("M122 83L122 72L118 64", 4, cap="round") + line("M122 74L130 68", 4, cap="round"))
    return shrink(body + legs + antlers + line("M64 112L58 108", 5, cap="round"), 0.86, 96, 140)


def junction():
    return fill(poly(points(100, 74, 121, 104, 109, 104, 109, 163, 91, 163, 91, 104, 79, 104))) + line(
        "M63 134L137 134", 9)


def octagon():
    def oct8(r):
        return poly([(100 + r * math.cos(math.radians(a)), 100 + r * math.sin(math.radians(a)))
                     for a in (22.5 + 45 * i for i in range(8))])
    text = "".join(glyph(ch, x, 76, 24, 48, 11, WHITE) for ch, x in zip("STOP", (30, 69, 107, 146)))
    return [fill(oct8(102), WHITE), fill(oct8(96), RED), text]


def diamond():
    def square(r, radius):
        return rounded(points(100, 100 - r, 100 + r, 100, 100, 100 + r, 100 - r, 100), radius)
    return [fill(square(104, 14), BLACK), fill(square(100, 13), WHITE), fill(square(72, 9), YELLOW)]


def lorry_side(colour=BLACK):
    return (fill(poly(points(42, 84, 108, 84, 108, 120, 42, 120)), colour)
            + fill(poly(points(112, 92, 138, 92, 154, 108, 154, 122, 112, 122)), colour)
            + fill(poly(points(119, 97, 135, 97, 144, 107, 119, 107)), WHITE)
            + fill(poly(points(42, 118, 154, 118, 154, 124, 42, 124)), colour)
            + "".join(disc(x, 125, 12, WHITE) + disc(x, 125, 9.5, colour) for x in (64, 88, 134)))


def turn(shaft, tip, angle):
    return line(shaft, 25, WHITE) + head(*tip, angle, 42, 68, WHITE)


def straight_and_right():
    return (line("M78 166L78 70", 20, WHITE) + head(78, 30, -90, 44, 56, WHITE)
            + line("M78 150C78 128 92 122 122 122", 20, WHITE) + head(164, 122, 0, 42, 56, WHITE))


def keep_right():
    return line("M58 58L122 122", 27, WHITE) + head(146, 146, 45, 50, 78, WHITE)


def roundabout():
    out = ""
    for a in (-90, 30, 150):
        end = a - 78
        out += line(arc(100, 100, 54, 54, a + 14, end + 28), 15, WHITE)
        r = math.radians(end + 34)
        x, y = 100 + 54 * math.cos(r), 100 + 54 * math.sin(r)
        tx, ty = math.sin(r), -math.cos(r)
        out += head(x + tx * 28, y + ty * 28, end + 34 - 90 - 14, 32, 42, WHITE)
    return out


def two_cars(left, right, lorry=False):
    first = lorry_behind(69, 130, 25, left) if lorry else car(67, 126, 29, left)
    return first + car(133, 126 if not lorry else 130, 29 if not lorry else 27, right)


def drawings():
    d = {f"274-{v}": ring(number(v)) for v in ("20", "30", "50", "60", "70", "80", "100", "120")}
    d["278-80"] = ended(number("80", GREY))
    d["276"] = ring(two_cars(RED, BLACK))
    d["277"] = ring(two_cars(RED, BLACK, True))
    d["280"] = ended(two_cars(GREY, GREY))
    d["281"] = ended(two_cars(GREY, GREY, True))
    d["282"] = ended()
    d["301"] = warning(junction())
    d["306"] = diamond()
    d["205"] = warning(down=True)
    d["206"] = octagon()
    d["250"] = ring()
    d["253"] = ring(lorry_side())
    d["267"] = [disc(100, 100, 96, WHITE), disc(100, 100, 92, RED), fill(poly(points(30, 82, 170, 82, 170, 118, 30, 118)),
                                                                         WHITE)]
    d["101"] = warning(fill("M89 82C89 76 111 76 111 82L106 136L94 136Z") + disc(100, 152, 10))
    d["101-51"] = warning(snowflake())
    d["103-10"] = warning(bend_left())
    d["103-20"] = warning(flip(bend_left()))
    d["105-10"] = warning(double_bend())
    d["112"] = warning(uneven())
    d["114"] = warning(slippery())
    d["121-10"] = warning(narrows_right())
    d["123"] = warning(works())
    d["131"] = warning(lights())
    d["133-10"] = warning(flip(walker()))
    d["136-10"] = warning(flip(children()))
    d["138-10"] = warning(flip(bicycle()))
    d["142-10"] = warning(flip(deer()))
    right = turn("M72 160L72 120C72 102 80 94 98 94L124 94", (164, 94), 0)
    d["209"] = mandatory(right)
    d["209-10"] = mandatory(flip(right))
    d["209-30"] = mandatory(turn("M100 166L100 68", (100, 30), -90))
    d["214"] = mandatory(straight_and_right())
    d["214-10"] = mandatory(flip(straight_and_right()))
    d["222"] = mandatory(keep_right())
    d["222-10"] = mandatory(flip(keep_right()))
    d["215"] = mandatory(roundabout())
    return d


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "taxonomy"
    classes = json.loads((root / "de.json").read_text())["classes"]
    drawn = drawings()
    missing = [c["code"] for c in classes if c["code"] not in drawn]
    if missing:
        sys.exit(f"pictograms: no drawing for {', '.join(missing)}: add it to drawings()")
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "de"
    out.mkdir(exist_ok=True)
    for c in classes:
        body = "\n".join(drawn[c["code"]])
        (out / f"{c['code']}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><title>{c["en"]}</title>\n{body}\n</svg>\n')


if __name__ == "__main__":
    main()
