#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/api.md from the route tables, as a running server shows them.

    python3 tools/api_doc.py http://127.0.0.1:8000 > docs/api.md      (or a saved openapi.json)

tests/e2e/test_docs.py fails when docs/api.md is not what this prints.
"""
import json
import sys
import urllib.request

TAGS = {
    'frames': ('Frames and crops', 'For cars. Role `frames`.'),
    'labeling': ('Reviews, votes, labels', 'For labelers. Role `labeling`.'),
    'datasets': ('Datasets', 'Immutable versions of what was labelled. Role `learning`.'),
    'models': ('Models', 'What is live, and what was. Role `learning`.'),
    'jobs': ('Jobs', 'Long work, answered at once and followed by its id. Role `learning`.'),
    'inference': ('Open Inference Protocol', 'Health is served by every process, the models by the role `frames`.'),
    'watch': ('Watching', 'Every process.'),
    'pages': ('Pages', 'Every process.'),
    'original': ('Routes of the system that signloop re-makes', 'Its clients go on working.'),
}
INTRO = """\
# Routes

Made by `tools/api_doc.py` from the route tables of version {version}; the running server gives the same, with full schemas,
as OpenAPI 3.1 at `/openapi.json`. Additions are free, changes are named in the changelog.

- Bodies and answers are JSON unless said otherwise; times are ms since 1970 (UTC); boxes are `[x, y, w, h]` in pixels.
- An error is `{{"error": {{"code", "message"}}}}`: `code` for programs, `message` for people (what, where, what to do).
- Any route may also answer 404 (no such path), 405 (with `Allow`), 413 (a body where none is taken), 414 and 431 (a target or
  header fields that are too long), or 500 (the server's own mistake, damaged bytes).
- A route with a JSON body wants an object, `{{}}` at the least.
- A body must come within `http.body_ms` (408). A request gets 504 when no answer came within `http.deadline_ms`, or within its
  header `X-Deadline-Ms` where that is shorter. 503 carries `Retry-After`.
- `name?` need not be given. A word with a capital is explained at the end, under Shapes.

{table}
"""
ERRORS = """\
| status | means |
|---|---|
{rows}"""
SECTION = """\

## {title}
{text}

| route | does | parameters | body | answer | errors |
|---|---|---|---|---|---|
{rows}"""

SHAPES = """\

## Shapes
| name | members |
|---|---|
{rows}
"""


def cell(text):
    return ' '.join(text.replace('|', '\\|').split())


class Shapes:
    """Schemas in a few words: names, the words an enum knows, no types where the name tells. One with a title is put
    aside under it and only named where it is used."""

    def __init__(self):
        self.named = {}

    def members(self, schema, body, depth):
        need = schema.get('required', [])
        for name, s in schema['properties'].items():
            inner = self.of(s, body, depth)
            yield f'{name}{"?" if body and name not in need else ""}{": " + inner if inner else ""}'

    def of(self, schema, body=False, depth=0):
        if 'title' in schema:
            title = schema['title']
            if title not in self.named:
                self.named[title] = ''
                self.named[title] = self.of({k: v for k, v in schema.items() if k != 'title'}, body)
            return title
        if 'enum' in schema:
            return ' or '.join(map(str, schema['enum']))
        if schema.get('type') == 'array' and 'items' in schema and 'description' not in schema:
            inner = self.of(schema['items'], body, depth)
            return f'[{inner}]' if inner else ''
        if 'properties' in schema and depth < 4:
            return '{' + ', '.join(self.members(schema, body, depth + 1)) + '}'
        return schema.get('description', '')

    def contents(self, content, body=False):
        """Media types; JSON by its shape."""
        parts = []
        for kind, media in content.items():
            text = self.of(media.get('schema', {}), body) if kind == 'application/json' else ''
            if text:
                parts.append((f'`{kind}` ' if len(content) > 1 else '') + f'`{text}`')
            else:
                parts.append('JSON' if kind == 'application/json' else f'`{kind}`')
        return ', '.join(parts)


def parameters(op):
    out = []
    for p in op.get('parameters', []):
        if p['in'] == 'query':
            need = '' if p.get('required') else '?'
            out.append(f'`{p["name"]}{need}` {p.get("description", "")}'.strip())
    return '; '.join(out)


def answer(op, shapes):
    out = []
    for code, r in op['responses'].items():
        if code.isdigit() and int(code) < 400:
            out.append(' '.join(x for x in (code if code != '200' else '', shapes.contents(r.get('content', {}))) if x))
    return '; '.join(out)


def errors(op):
    return ' '.join(c for c in op['responses'] if c.isdigit() and int(c) >= 400)


def rows(doc, shapes):
    """By tag: (methods, path, row). Methods of a path that are the same in all else are one row."""
    found = {}
    for path, item in doc['paths'].items():
        same = {}
        for method, op in item.items():
            body = shapes.contents(op.get('requestBody', {}).get('content', {}), body=True)
            row = (op['summary'], parameters(op), body, answer(op, shapes), errors(op))
            same.setdefault((op['tags'][0], row), []).append(method.upper())
        for (tag, row), methods in same.items():
            found.setdefault(tag, []).append((methods, path, row))
    return found


def page(doc):
    shapes = Shapes()
    by_tag = rows(doc, shapes)
    unknown = set(by_tag) - set(TAGS)
    if unknown:
        raise SystemExit(f'api_doc: no heading for the tags {sorted(unknown)}: add them to TAGS')
    codes = doc['components']['responses']
    table = ERRORS.format(rows='\n'.join(f'| {c} | {cell(r["description"])} |' for c, r in codes.items() if c.isdigit()))
    out = INTRO.format(version=doc['info']['version'], table=table)
    for tag, (title, text) in TAGS.items():
        lines = [f'| `{" or ".join(m)} {path}` | {" | ".join(cell(c) for c in row)} |' for m, path, row in by_tag.get(tag, [])]
        out += SECTION.format(title=title, text=text, rows='\n'.join(lines)) + '\n'
    named = '\n'.join(f'| {title} | `{cell(text)}` |' for title, text in sorted(shapes.named.items()))
    return out + SHAPES.format(rows=named)


def load(where):
    if where.startswith('http'):
        with urllib.request.urlopen(where.rstrip('/') + '/openapi.json', timeout=30) as r:
            return json.load(r)
    with open(where, encoding='utf-8') as f:
        return json.load(f)


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(page(load(sys.argv[1])))
