#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the labelled crops of a dataset version, from HDFS by WebHDFS or from a folder, with nothing but Python.

    python3 read_shards.py webhdfs://namenode:9870/signloop              the latest version
    python3 read_shards.py data/artifacts v0003 --deal heldout --csv heldout.csv --save crops

A version (datasets/vNNNN.json) names its shards; a shard (shards/<sha256>.tar) is a tar of KEY.jpg and KEY.json pairs, which
any WebDataset loader reads as it is. docs/formats.md says what each member is.
"""
import argparse
import collections
import csv
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import urllib.parse
import urllib.request

TIMEOUT_S = 60


class Folder:
    """The embedded store: --data DIR's artifacts/."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def names(self, folder):
        return [p.name for p in (self.path / folder).iterdir()]

    def read(self, path):
        return (self.path / path).read_bytes()


class WebHdfs:
    """webhdfs://HOST:PORT/PATH"""

    def __init__(self, url):
        u = urllib.parse.urlsplit(url)
        self.base = f'http://{u.netloc}/webhdfs/v1{u.path.rstrip("/")}'
        self.user = os.environ.get('HADOOP_USER_NAME')

    def ask(self, path, op):
        query = urllib.parse.urlencode({'op': op, **({'user.name': self.user} if self.user else {})})
        with urllib.request.urlopen(f'{self.base}/{path}?{query}', timeout=TIMEOUT_S) as answer:  # follows to the DataNode
            return answer.read()

    def names(self, folder):
        return [f['pathSuffix'] for f in json.loads(self.ask(folder, 'LISTSTATUS'))['FileStatuses']['FileStatus']]

    def read(self, path):
        return self.ask(path, 'OPEN')


def rows_of(tar):
    """(jpeg, metadata) of each pair of a shard's bytes."""
    picture = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        for member in t:
            key, kind = member.name.rsplit('.', 1)
            data = t.extractfile(member).read()
            if kind == 'jpg':
                picture = {key: data}
            elif kind == 'json':
                yield picture.pop(key), json.loads(data)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('store', help='webhdfs://NAMENODE:PORT/PATH, or a folder of artifacts')
    a.add_argument('version', nargs='?', help='such as v0003; absent: the latest')
    a.add_argument('--deal', choices=['train', 'heldout', 'aside'], help='only rows of this part')
    a.add_argument('--csv', help='writes key, class, source and part of each row')
    a.add_argument('--save', help='folder for the pictures')
    o = a.parse_args()
    store = WebHdfs(o.store) if o.store.startswith('webhdfs:') else Folder(o.store)
    version = o.version or max((n[:-5] for n in store.names('datasets') if n.endswith('.json')), key=lambda n: int(n[1:]), default=None)
    if not version:
        sys.exit('there is no version yet')
    manifest = json.loads(store.read(f'datasets/{version}.json'))
    count, out = collections.Counter(), []
    shards = [s for s in manifest['shards'] if o.deal in (None, s['part'])]
    for shard in shards:
        tar = store.read(f'shards/{shard["sha256"]}.tar')
        if hashlib.sha256(tar).hexdigest() != shard['sha256']:
            sys.exit(f'shards/{shard["sha256"]}.tar: the bytes are not those that were stored')
        for jpeg, row in rows_of(tar):
            name = row['class']['code'] if row['class'] else row['choice']
            count[name] += 1
            out.append((row['key'], name, row['source'], shard['part']))
            if o.save:
                os.makedirs(o.save, exist_ok=True)
                (pathlib.Path(o.save) / f'{row["key"]}.jpg').write_bytes(jpeg)
    if o.csv:
        with open(o.csv, 'w', newline='', encoding='utf-8') as f:
            csv.writer(f).writerows([('key', 'class', 'source', 'part'), *out])
    print(f'{version}: {len(out)} rows in {len(shards)} shards')
    for name, n in count.most_common():
        print(f'{n:6} {name}')


if __name__ == '__main__':
    main()
