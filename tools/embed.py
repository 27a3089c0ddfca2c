#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the web pages and the taxonomies into C arrays, so that the binary needs no folder
beside it: embed.py WEB TAXONOMY OUT.c DEPFILE

Pages (web/*.html) are written once in keys and made once a language: {{key}} is a text of
web/lang/LANGUAGE.json, {{>name}} the file web/part/name.html, {{lang}} the language itself. A
key that is missing stops the build. Each language table also becomes a module for scripts,
web/strings.LANGUAGE.js.
"""
import hashlib
import html
import json
import pathlib
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8", ".json": "application/json"}


class Broken(Exception):
    pass


def expand(text, strings, lang, part, depth=0):
    if depth > 4:
        raise Broken("parts include each other")

    def one(m):
        key = m.group(1)
        if key == "lang":
            return lang
        if key.startswith(">"):
            return expand((part / f"{key[1:]}.html").read_text("utf-8"), strings, lang, part, depth + 1).rstrip("\n")
        if key not in strings:
            raise Broken(f"web/lang/{lang}.json has no text for {key!r}")
        return html.escape(strings[key], quote=True)
    return re.sub(r"\{\{([^}]+)\}\}", one, text)


def web_files(web):
    """Yields (path, language or "", bytes)."""
    tables = {p.stem: json.loads(p.read_text("utf-8")) for p in sorted((web / "lang").glob("*.json"))}
    for lang, strings in tables.items():
        text = json.dumps(strings, ensure_ascii=False, separators=(",", ":"))
        yield f"/web/strings.{lang}.js", "", f"export default {text};\n".encode()
    for p in sorted(web.iterdir()):
        if p.suffix == ".html":
            for lang, strings in tables.items():
                yield f"/{p.name}", lang, expand(p.read_text("utf-8"), strings, lang, web / "part").encode()
        elif p.suffix in TYPES:
            yield f"/web/{p.name}", "", p.read_bytes()


def taxonomy_files(root):
    for p in sorted(root.glob("*.json")):
        yield f"/taxonomy/{p.name}", "", p.read_bytes()
        for svg in sorted((root / p.stem).glob("*.svg")):
            yield f"/taxonomy/{p.stem}/{svg.name}", "", svg.read_bytes()


def c_string(data):
    """String literals of at most 4,000 bytes a line; octal, so that no digit can join an escape."""
    plain = {9: "\\t", 10: "\\n", 34: '\\"', 92: "\\\\", 63: "\\077"}
    out = ["".join(plain.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data[i:i + 1000])
           for i in range(0, len(data), 1000)]
    return "\n\t".join(f'"{line}"' for line in out) or '""'


def main(web, taxonomy, out, depfile):
    web, taxonomy = pathlib.Path(web), pathlib.Path(taxonomy)
    try:
        files = [*web_files(web), *taxonomy_files(taxonomy)]
    except (Broken, OSError, ValueError) as e:
        sys.exit(f"embed.py: {e}")
    rows = []
    for path, lang, data in sorted(files):
        etag = hashlib.sha256(data).hexdigest()[:16]
        rows.append(f'\t{{"{path}", "{lang}", "{TYPES[pathlib.Path(path).suffix]}", "\\"{etag}\\"", {len(data)},\n\t'
                    f'{c_string(data)}}},\n')
    pathlib.Path(out).write_text('#include "role/pages.h"\n\nconst struct sl_page_file sl_page_files[] = {\n'
                                 + "".join(rows) + "};\nconst size_t sl_page_files_count = "
                                 "sizeof(sl_page_files) / sizeof(sl_page_files[0]);\n")
    deps = [str(p) for root in (web, taxonomy) for p in [root, *sorted(root.rglob("*"))]]
    pathlib.Path(depfile).write_text(f"{out}: {' '.join(deps)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
