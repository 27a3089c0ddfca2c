#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a compiler does not check. Prints FILE:LINE: what; exits 1 if anything is found.

- includes point one way, and a foreign library's header stands in one folder only
- a .c file has at most 600 lines, a header at most 130; every file starts with its licence line
- calls that are unsafe or not ours to make
- no left-over marks, no absolute path of a developer's machine, no package registry's host
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAY_INCLUDE = {
    'base': [],
    'core': ['base'],
    'net': ['base', 'core'],
    'store': ['base', 'core', 'net'],
    'nn': ['base', 'core', 'net'],
    'http': ['base', 'core', 'net'],
    'vision': ['base', 'core', 'net', 'store', 'nn'],
    'dataset': ['base', 'core', 'net', 'store', 'nn', 'vision'],
    'role': ['base', 'core', 'net', 'store', 'nn', 'http', 'vision', 'dataset'],
    'cmd': ['base', 'core', 'net', 'store', 'nn', 'http', 'vision', 'dataset', 'role'],
    'main.c': ['cmd'],
}
# Foreign header: the only place that may include it.
FOREIGN = {
    'dnnl.h': ('src/nn/dnnl/', 'src/nn/train/'),
    'omp.h': ('src/nn/dnnl/', 'src/nn/train/'),
    'microhttpd.h': ('src/http/',),
    'mongoc/mongoc.h': ('src/store/mongodb/',),
    'sqlite3.h': ('src/store/sqlite/',),
    'librdkafka/rdkafka.h': ('src/store/kafka/',),
    'curl/curl.h': ('src/net/',),
    'jpeglib.h': ('src/vision/jpeg.c',),
    'spng.h': ('src/vision/png.c',),
    'archive.h': ('src/dataset/',),
    'protobuf-c/protobuf-c.h': ('src/nn/onnx/', 'src/store/hbase/'),
    'nettle/sha2.h': ('src/base/digest.c',),
    'nettle/base64.h': ('src/base/digest.c',),
    'jansson.h': ('src/base/json.h',),
}
BANNED = {
    r'\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atof)\(': 'use the bounded form',
    r'\b(rand|srand|random)\(': 'use base/rng.h',
    r'\b(malloc|calloc|realloc|strdup)\(': 'use base/mem.h',
    r'\b(sleep|usleep|nanosleep)\(': 'wait for the event',
}
BANNED_EXEMPT = {'src/base/mem.c'}
MARKS = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b')
HOSTS = re.compile(r'https?://[a-z0-9.-]*(pypi|npmjs|deb\.debian|maven|crates|proxy\.golang)', re.I)
MACHINE = re.compile(r'(?<![\w.])/(home|root|work)/')
C_MAX, H_MAX = 600, 130

found = []


def say(path, line, text):
    found.append(f'{path}:{line}: {text}')


def tracked():
    out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True, check=True)
    return [p for p in out.stdout.splitlines() if (ROOT / p).is_file()]


def check_c(path, lines):
    room = path.split('/')[1] if path.startswith('src/') else None
    if not any('SPDX-License-Identifier: Apache-2.0' in l for l in lines[:2]):
        say(path, 1, 'the first lines have no SPDX licence')
    limit = H_MAX if path.endswith('.h') else C_MAX
    if len(lines) > limit:
        say(path, len(lines), f'longer than {limit} lines: split it')
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
        if m and room:
            target = m.group(1).split('/')[0]
            if target in MAY_INCLUDE and target != room and target not in MAY_INCLUDE[room]:
                say(path, n, f'{room} may not include {target}')
        if m:
            where = FOREIGN.get(m.group(1))
            if where and path.startswith('src/') and not path.startswith(where):
                say(path, n, f'{m.group(1)} belongs in {" or ".join(where)}')
        if path.startswith('src/') and path not in BANNED_EXEMPT:
            if '/* lint: ' in line:  # with the reason
                continue
            code = line.split('/*')[0].split('//')[0]
            if code.lstrip().startswith('*'):
                continue
            for pattern, why in BANNED.items():
                if re.search(pattern, re.sub(r'"(\\.|[^"\\])*"', '""', code)):
                    say(path, n, f'{re.search(pattern, code).group(0) if re.search(pattern, code) else pattern}...): {why}')


def main():
    for path in tracked():
        try:
            text = (ROOT / path).read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        lines = text.splitlines()
        if path.endswith(('.c', '.h')):
            check_c(path, lines)
        if path in ('tools/lint.py', 'LICENSE'):
            continue
        for n, line in enumerate(lines, 1):
            for pattern, why in ((MARKS, 'a left-over mark'), (HOSTS, 'a registry host'), (MACHINE, 'a path of one machine')):
                if pattern.search(line):
                    say(path, n, f'{why}: {pattern.search(line).group(0)}')
    for line in found:
        print(line)
    print(f'lint: {len(found)} found' if found else 'lint: clean')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
