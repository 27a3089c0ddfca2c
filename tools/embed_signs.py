#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the pictograms of one taxonomy into polygons for the demo's scenes:
embed_signs.py TAXONOMY.json SVG_FOLDER OUT.c DEPFILE

Reads the small part of SVG that tools/pictograms.py writes: circle, path with M L C Z, a flat
fill or a stroke. Curves become lines; a stroke becomes one polygon a segment and one disc a
joint, all turning the same way, so that their union is what is filled. Anything else stops
the build, so a drawing can never be lost in silence.
"""
import json
import math
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def disc(cx, cy, r):
    n = max(12, min(72, int(r * 1.2)))
    return [(cx + r * math.cos(2 * math.pi * i / n), cy + r * math.sin(2 * math.pi * i / n)) for i in range(n)]


def turned(pts):
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(pts, pts[1:] + pts[:1]))
    return pts if area >= 0 else pts[::-1]


def parse_path(d):
    """Yields (points, closed)."""
    out, pts, closed, i = [], [], False, 0
    tok = re.findall(r"[A-Za-z]|-?\d+(?:\.\d+)?", d)
    cmd = None
    while i < len(tok):
        if tok[i].isalpha():
            cmd, i = tok[i], i + 1
            if cmd == "Z":
                closed = True
            elif cmd == "M":
                if pts:
                    out.append((pts, closed))
                pts, closed = [(float(tok[i]), float(tok[i + 1]))], False
                i += 2
                cmd = "L"
            elif cmd not in "LC":
                raise ValueError(f"path command {cmd}")
            continue
        n = {"L": 2, "C": 6}[cmd]
        v = [float(t) for t in tok[i:i + n]]
        i += n
        if cmd == "L":
            pts.append((v[0], v[1]))
            continue
        x0, y0 = pts[-1]
        for k in range(1, 9):
            t, u = k / 8, 1 - k / 8
            pts.append(tuple(u**3 * a + 3 * u * u * t * b + 3 * u * t * t * c + t**3 * e
                             for a, b, c, e in ((x0, v[0], v[2], v[4]), (y0, v[1], v[3], v[5]))))
    out.append((pts, closed))
    return out


def stroke(pts, closed, width, round_cap):
    h, out = width / 2, []
    line = pts + pts[:1] if closed else pts
    for (x0, y0), (x1, y1) in zip(line, line[1:]):
        d = math.hypot(x1 - x0, y1 - y0)
        if d < 1e-6:
            continue
        nx, ny = -(y1 - y0) / d * h, (x1 - x0) / d * h
        out.append([(x0 + nx, y0 + ny), (x0 - nx, y0 - ny), (x1 - nx, y1 - ny), (x1 + nx, y1 + ny)])
    joints = pts if closed or round_cap else pts[1:-1]
    return out + [disc(x, y, h) for x, y in joints]


def shapes(svg):
    """Yields (colour, contours)."""
    for e in ET.fromstring(svg):
        a = e.attrib
        if e.tag == SVG + "title":
            continue
        if e.tag == SVG + "circle":
            yield a["fill"], [disc(float(a["cx"]), float(a["cy"]), float(a["r"]))]
        elif e.tag == SVG + "path" and a.get("fill") != "none":
            yield a["fill"], [p for p, _ in parse_path(a["d"])]
        elif e.tag == SVG + "path":
            yield a["stroke"], [c for p, closed in parse_path(a["d"])
                                for c in stroke(p, closed, float(a["stroke-width"]), "stroke-linecap" in a)]
        else:
            raise ValueError(f"element {e.tag}")


def main(taxonomy, folder, out, depfile):
    points, lens, paths, faces = [], [], [], []
    for c in json.loads(pathlib.Path(taxonomy).read_text("utf-8"))["classes"]:
        file = pathlib.Path(folder) / f"{c['code']}.svg"
        first = len(paths)
        try:
            for colour, contours in shapes(file.read_text("utf-8")):
                rgb = ", ".join(str(int(colour[i:i + 2], 16)) for i in (1, 3, 5))
                paths.append(f"{{{{{rgb}}}, {len(points)}, {len(lens)}, {len(contours)}}}")
                for contour in contours:
                    lens.append(len(contour))
                    points += [f"{{{round(x * 100)}, {round(y * 100)}}}" for x, y in turned(contour)]
        except (ValueError, KeyError, OSError, ET.ParseError) as e:
            sys.exit(f"embed_signs.py: {file}: {e!r}")
        faces.append(f'\t{{"{c["code"]}", {first}, {len(paths) - first}}},')
    def rows(items, n):
        return "\n".join("\t" + ", ".join(items[i:i + n]) + "," for i in range(0, len(items), n))
    pathlib.Path(out).write_text(
        '#include "vision/sign_face.h"\n\n'
        f"const int16_t sl_face_points[][2] = {{\n{rows(points, 12)}\n}};\n"
        f"const uint16_t sl_face_lens[] = {{\n{rows([str(n) for n in lens], 24)}\n}};\n"
        f"const struct sl_face_path sl_face_paths[] = {{\n{rows(paths, 4)}\n}};\n"
        "const struct sl_face sl_faces[] = {\n" + "\n".join(faces) + "\n};\n"
        f"const int sl_faces_count = {len(faces)};\n")
    pathlib.Path(depfile).write_text(f"{out}: {taxonomy} {' '.join(map(str, sorted(pathlib.Path(folder).glob('*.svg'))))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
