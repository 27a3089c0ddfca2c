#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches crops from HBase by its REST gateway, with what is known about them.

    pip install requests
    python3 hbase_crop.py --gateway http://hbase1:8080 KEY...          KEY.jpg and KEY.json in this folder
    python3 hbase_crop.py --gateway http://hbase1:8080 --list 10       the first keys of the table

A row is a crop; its columns: data:jpeg the picture, data:meta JSON, data:sum the SHA-256 of both, as docs/formats.md says.
In JSON the gateway writes row keys, columns and values as base64.
"""
import argparse
import base64
import hashlib
import json
import pathlib
import sys
import urllib.parse

import requests

TIMEOUT_S = 30


def text(coded):
    return base64.b64decode(coded).decode()


def rows_of(answer):
    """{row key: {column: bytes}} of the gateway's JSON."""
    return {text(row['key']): {text(c['column']): base64.b64decode(c['$']) for c in row['Cell']} for row in answer['Row']}


def get(base, key):
    """The columns of one row; LookupError where there is none."""
    answer = requests.get(f'{base}/{urllib.parse.quote(key, safe="")}', headers={'Accept': 'application/json'}, timeout=TIMEOUT_S)
    if answer.status_code == 404:
        raise LookupError(f'{key}: no such crop')
    answer.raise_for_status()
    return rows_of(answer.json())[key]


def first_keys(base, n):
    """The first n row keys: a scanner of the gateway, which is told to send no more than that."""
    made = requests.put(f'{base}/scanner', data=f'<Scanner batch="{n}"><filter>{{"type":"KeyOnlyFilter"}}</filter></Scanner>',
                        headers={'Content-Type': 'text/xml'}, timeout=TIMEOUT_S)
    made.raise_for_status()
    scanner = made.headers['Location']
    keys = {}
    try:
        while len(keys) < n:
            page = requests.get(scanner, headers={'Accept': 'application/json'}, timeout=TIMEOUT_S)
            if page.status_code == 204:
                break
            page.raise_for_status()
            keys.update(rows_of(page.json()))
    finally:
        requests.delete(scanner, timeout=TIMEOUT_S)
    return list(keys)[:n]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--gateway', required=True, help='http://HOST:8080')
    a.add_argument('--table', default='crops', help='also NAMESPACE:NAME')
    a.add_argument('--column', default='data:jpeg', help="the picture's (data:1 where the original's readers are served)")
    a.add_argument('--list', type=int, metavar='N', help='prints the first N keys')
    a.add_argument('--folder', default='.')
    a.add_argument('key', nargs='*')
    o = a.parse_args()
    base = f'{o.gateway.rstrip("/")}/{urllib.parse.quote(o.table, safe=":")}'
    for key in first_keys(base, o.list) if o.list else []:
        print(key)
    for key in o.key:
        try:
            row = get(base, key)
        except LookupError as e:
            sys.exit(str(e))
        jpeg, meta = row[o.column], row['data:meta']
        if hashlib.sha256(jpeg + meta).hexdigest() != row['data:sum'].decode():
            sys.exit(f'{key}: the bytes are not those that were stored')
        (pathlib.Path(o.folder) / f'{key}.jpg').write_bytes(jpeg)
        (pathlib.Path(o.folder) / f'{key}.json').write_bytes(meta)
        known = json.loads(meta)
        print(f'{key}: {len(jpeg)} bytes, frame {known["frame"]}, topic {known["topic"]}')


if __name__ == '__main__':
    main()
