# SPDX-License-Identifier: Apache-2.0
"""What other programs read of a loop that runs over real Kafka, HBase, MongoDB and HDFS: each of examples/, and each command of
its README. One process with every role makes labels, votes and a dataset; then the examples find them without signloop."""
import collections
import csv
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.parse
import uuid

import jsonschema
import pymongo
import pytest
import requests
from confluent_kafka.admin import AdminClient

from rig import Server, run, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / 'examples'
ROLES = 'frames,intake,labeling,curate,learning,rollout'
TIMEOUT_S = 120
PATIENT = ('--frames.deadline_ms', 60000, '--http.deadline_ms', 60000)  # a busy machine is no failure here


def server(variable):
    """host:port and the rest of the URL that the environment names."""
    url = os.environ.get(variable)
    if not url:
        text = f'{variable} is not set: no server (make servers)'
        if os.environ.get('SIGNLOOP_TEST_SERVERS') == 'required':
            pytest.fail(text)
        pytest.skip(text)
    return urllib.parse.urlsplit(url)


class Loop:
    """The process, its stores by name, and what it was given."""

    def __init__(self, data):
        name = 't' + uuid.uuid4().hex[:12]
        kafka, hbase, mongodb, hdfs = (server(f'SIGNLOOP_TEST_{n}') for n in ('KAFKA', 'HBASE', 'MONGODB', 'WEBHDFS'))
        self.brokers, self.prefix = kafka.netloc, f'{name}.'
        self.gateway, self.table = f'http://{hbase.netloc}', name
        self.mongodb = f'mongodb://{mongodb.netloc}/{name}?{mongodb.query}'
        self.hdfs = f'{hdfs.netloc}/{name}'
        self.urls = {'log': f'kafka://{self.brokers}?prefix={self.prefix}', 'crops': f'hbase://{hbase.netloc}/{name}',
                     'reviews': self.mongodb, 'artifacts': f'webhdfs://{self.hdfs}'}
        stores = [word for store, url in self.urls.items() for word in (f'--{store}', url)]
        self.server = Server(data, *stores, '--compat-topics', '--reviews-cap', 3, '--frames-audit', 0.2,
                                 *PATIENT,
                                 '--log.compat_url', f'http://{hdfs.netloc}/webhdfs/v1/{name}/{{path}}?op=OPEN',
                                 command=('serve', ROLES))

    def fill(self, frames):
        """Signs seen, votes of two people who agree, one review of no class, a dataset version."""
        self.keys = {s['key'] for f in frames for s in self.server.frame(f, device='car7', sequence='d1')['signs']}
        self.server.wait_drained()
        self.votes = collections.Counter()
        for voter in ('ann', 'bob'):
            for i, r in enumerate(self.server.get('/v1/reviews/next', params={'voter': voter, 'n': 50}).json()['reviews']):
                choice = 'not_a_sign' if r['key'] == min(self.keys) else r['candidates'][0]['class']['index']
                self.server.post(f'/v1/reviews/{r["key"]}/votes', {'voter': voter, 'vote_id': f'{voter}{i}', 'choice': choice})
                self.votes[r['key']] += 1
        self.server.wait_sent()
        self.server.wait_drained()
        self.version = self.server.post('/v1/datasets', {}, code=201).json()
        self.labels = {l['key']: l for l in self.server.get('/v1/labels', params={'n': 500}).json()['labels']}

    def kcat(self, topic, *flags):
        """The messages of a topic as kcat sees them."""
        p = subprocess.run(['kcat', '-b', self.brokers, '-C', '-t', self.prefix + topic, '-o', 'beginning', '-e', '-q', '-J', *flags],
                           capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        return [json.loads(line) for line in p.stdout.splitlines()]  # none where the topic is not made yet

    def drop(self):
        self.server.close()
        admin = AdminClient({'bootstrap.servers': self.brokers})
        mine = [t for t in admin.list_topics(timeout=TIMEOUT_S).topics if t.startswith(self.prefix)]
        for done in admin.delete_topics(mine).values() if mine else ():
            done.result(TIMEOUT_S)
        requests.delete(f'{self.gateway}/{self.table}/schema', timeout=TIMEOUT_S)
        with pymongo.MongoClient(self.mongodb) as client:
            client.drop_database(self.table)
        address, folder = self.hdfs.split('/')
        requests.delete(f'http://{address}/webhdfs/v1/{folder}?op=DELETE&recursive=true', timeout=TIMEOUT_S)


@pytest.fixture(scope='module')
def loop(tmp_path_factory, demo_frames):
    made = Loop(tmp_path_factory.mktemp('loop') / 'data')
    try:
        made.fill(demo_frames[:20])
        yield made
    finally:
        made.drop()


def example(name, *words, ok=0, **kw):
    p = subprocess.run([sys.executable, str(EXAMPLES / name), *map(str, words)], capture_output=True, text=True, timeout=TIMEOUT_S,
                       check=False, **kw)
    assert p.returncode == ok, f'{name}: exit {p.returncode}\n{p.stdout}\n{p.stderr}'
    return p.stdout


def rows(path):
    """{key: the last row} of a CSV file; and how many rows it has."""
    with open(path, newline='', encoding='utf-8') as f:
        all_rows = list(csv.DictReader(f))
    return {r['key']: r for r in all_rows}, len(all_rows)


def fnv1a(text):
    h = 2166136261
    for byte in text.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h


# ---- topics ----

@pytest.mark.parametrize('topic', ['labels', 'reviews', 'models', 'good_acc_label', 'bad_acc_label', 'parameter'])
def test_kcat_reads_documented_json_in_the_documented_partition(loop, topic):
    schema = json.loads((ROOT / 'docs' / 'schemas' / f'{topic}.json').read_text())
    partitions = len(AdminClient({'bootstrap.servers': loop.brokers}).list_topics(loop.prefix + topic, TIMEOUT_S)
                     .topics[loop.prefix + topic].partitions)
    messages = loop.kcat(topic)
    assert messages
    for m in messages:
        jsonschema.validate(json.loads(m['payload']), schema, cls=jsonschema.Draft202012Validator)
        assert m['partition'] == fnv1a(m['key']) % partitions
        headers = dict(zip(m['headers'][::2], m['headers'][1::2]))
        assert headers['schema'] == f'signloop.{topic}.v1'
        if 'traceparent' in headers:
            assert m['key'].split('-')[1] in headers['traceparent']


def test_the_originals_topics_follow_ours(loop):
    bodies = {t: [json.loads(m['payload']) for m in loop.kcat(t)] for t in ('labels', 'reviews', 'models', 'good_acc_label',
                                                                            'bad_acc_label', 'parameter')}
    named = collections.Counter(l['key'] for l in bodies['labels'] if l['class'])
    assert named and collections.Counter(g['image_rowkey'] for g in bodies['good_acc_label']) == named
    assert collections.Counter(b['image_rowkey'] for b in bodies['bad_acc_label']) == \
        collections.Counter(r['key'] for r in bodies['reviews'])
    bundle = requests.get(bodies['parameter'][-1]['url'], timeout=TIMEOUT_S).content  # straight from HDFS
    assert hashlib.sha256(bundle).hexdigest() == bodies['models'][-1]['digest']


def test_signloop_topic_shows_what_kcat_shows(loop):
    shown = [json.loads(line) for line in run('topic', 'labels', '--log', loop.urls['log'], '--json').stdout.splitlines()]
    assert {(m['partition'], m['position'], m['key'], json.dumps(m['body'])) for m in shown} == \
        {(m['partition'], m['offset'], m['key'], json.dumps(json.loads(m['payload']))) for m in loop.kcat('labels')}


def consume(loop, path, *words):
    return example('labels_consumer.py', '--brokers', loop.brokers, '--topic', loop.prefix + 'labels', '--csv', path, *words)


def test_a_consumer_keeps_the_label_that_counts(loop, tmp_path):
    table, group = tmp_path / 'labels.csv', ('--group', loop.prefix + 'csv', '--until-end')
    said = consume(loop, table, *group, '--crops', loop.server.url, '--folder', tmp_path / 'crops')
    n = len(loop.kcat('labels'))
    assert said.startswith(f'{n} read') and ' 0 skipped' in said
    got, count = rows(table)
    assert set(got) == set(loop.labels) == {p.stem for p in (tmp_path / 'crops').glob('*.jpg')}
    for key, label in loop.labels.items():
        assert got[key]['source'] == label['source'] and got[key]['index'] == str((label['class'] or {'index': ''})['index'])
    assert consume(loop, table, *group).startswith('0 read')  # the position is committed
    again = consume(loop, table, '--group', loop.prefix + 'other', '--until-end')  # all of it comes again
    assert again.startswith(f'{n} read, 0 written') and rows(table) == (got, count)


def test_a_killed_consumer_goes_on_without_loss(loop, tmp_path):
    table, group = tmp_path / 'labels.csv', loop.prefix + 'killed'
    p = subprocess.Popen([sys.executable, str(EXAMPLES / 'labels_consumer.py'), '--brokers', loop.brokers, '--topic',
                          loop.prefix + 'labels', '--csv', str(table), '--group', group, '--option', 'session.timeout.ms=6000'])
    wait_until(lambda: table.exists() and rows(table)[1] > 0, TIMEOUT_S, 'a row')
    p.send_signal(signal.SIGKILL)
    p.wait()
    consume(loop, table, '--group', group, '--until-end')
    assert set(rows(table)[0]) == set(loop.labels)


def test_a_consumer_skips_what_is_no_label_and_says_so(loop, tmp_path):
    said = example('labels_consumer.py', '--brokers', loop.brokers, '--topic', loop.prefix + 'models', '--csv', tmp_path / 'x.csv',
                   '--group', loop.prefix + 'wrong', '--until-end')
    assert 'is skipped' in said and ' 0 written' in said


def test_what_is_no_message_is_a_dead_letter(loop):
    """Written by hand, as the formats page allows anybody: its reader goes on behind it and says why it did not take it."""
    schema = json.loads((ROOT / 'docs' / 'schemas' / 'dead.json').read_text())
    before = loop.kcat('labels')
    subprocess.run(['kcat', '-b', loop.brokers, '-P', '-t', loop.prefix + 'reviews', '-p', '0', '-k', 'by-hand'], input='{"v":1}',
                   text=True, timeout=TIMEOUT_S, check=True)
    letters = wait_until(lambda: [json.loads(m['payload']) for m in loop.kcat('reviews.dead', '-m', '10')], TIMEOUT_S, 'a letter')
    for letter in letters:
        jsonschema.validate(letter, schema, cls=jsonschema.Draft202012Validator)
    assert letters[-1]['key'] == 'by-hand' and letters[-1]['body'] == '{"v":1}' and letters[-1]['reason']
    assert loop.kcat('labels') == before


# ---- rows, documents, shards ----

def test_crops_are_rows_of_hbase(loop, tmp_path):
    keys = sorted(loop.keys)[:3]
    example('hbase_crop.py', '--gateway', loop.gateway, '--table', loop.table, '--folder', tmp_path, *keys)
    for key in keys:
        assert (tmp_path / f'{key}.jpg').read_bytes() == loop.server.get(f'/v1/crops/{key}').content
        assert json.loads((tmp_path / f'{key}.json').read_text()) == loop.server.get(f'/v1/crops/{key}', params={'meta': 1}).json()
    listed = example('hbase_crop.py', '--gateway', loop.gateway, '--table', loop.table, '--list', 5).split()
    assert listed == sorted(loop.keys)[:5]
    example('hbase_crop.py', '--gateway', loop.gateway, '--table', loop.table, '--folder', tmp_path, 'no-such-key', ok=1)


def test_reviews_are_documents_of_mongodb(loop):
    said = example('mongo_reviews.py', loop.mongodb, '--max', 1000)
    states = collections.Counter(loop.server.get(f'/v1/reviews/{k}').json()['state'] for k in loop.votes)
    for state, n in states.items():
        assert f'{state}: {n}\n' in said
    key, n = loop.votes.most_common(1)[0]
    one = example('mongo_reviews.py', loop.mongodb, '--key', key)
    assert n == len(re.findall(r'^    (?:ann|bob): ', one, re.M)) and f'{key}  decided' in one and '2 of 2 votes' in one
    example('mongo_reviews.py', loop.mongodb, '--key', 'none', ok=1)


def test_versions_are_read_from_hdfs(loop, tmp_path):
    said = example('read_shards.py', f'webhdfs://{loop.hdfs}', '--csv', tmp_path / 'rows.csv', '--save', tmp_path / 'crops')
    got, n = rows(tmp_path / 'rows.csv')
    assert said.startswith(f'{loop.version["version"]}: {n} rows') and n == loop.version['rows'] == len(loop.labels)
    for key, label in loop.labels.items():
        assert got[key]['class'] == (label['class'] or {'code': label.get('choice')})['code']
        assert (tmp_path / 'crops' / f'{key}.jpg').read_bytes() == loop.server.get(f'/v1/crops/{key}').content
    held = example('read_shards.py', f'webhdfs://{loop.hdfs}', 'v0001', '--deal', 'aside')
    assert f'v0001: {loop.version["parts"].get("aside", 0)} rows' in held


def test_versions_are_read_from_a_folder(tmp_path, demo_frames):
    server = Server(tmp_path / 'data', *PATIENT)
    try:
        for f in demo_frames[:5]:
            server.frame(f)
        server.wait_drained()
        version = wait_until(lambda: requests.post(server.url + '/v1/datasets', json={}, timeout=60).json().get('rows'), 30, 'rows')
        assert f'v0001: {version} rows' in example('read_shards.py', server.data / 'artifacts')
    finally:
        server.close()


# ---- the README's commands ----

def commands():
    text = (EXAMPLES / 'README.md').read_text()
    blocks = re.findall(r'^```sh\n(.*?)^```$', text, re.M | re.S)
    return [line for b in blocks for line in b.splitlines() if line and not line.startswith('#')]


@pytest.mark.parametrize('line', commands())
def test_commands_of_the_readme_run(loop, tmp_path, line):
    key = max(loop.votes, key=lambda k: (loop.votes[k], k))
    for old, new in (('127.0.0.1:9092', loop.brokers), ('-t ', f'-t {loop.prefix}'), ('http://127.0.0.1:8080', loop.gateway),
                     ('/crops/KEY', f'/{loop.table}/{key}'), ('127.0.0.1:9870', loop.hdfs.split('/')[0]),
                     ('/v1/signloop/', f'/v1/{loop.hdfs.split("/")[1]}/'), ('73303e06343dde775eeeb63a', key.split('-')[1]),
                     ('KEY', key)):
        line = line.replace(old, new)
    p = subprocess.run(['bash', '-euo', 'pipefail', '-c', line], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S,
                       check=False)
    assert p.returncode == 0, f'{line}\n{p.stdout}\n{p.stderr}'
    assert p.stdout.strip() or any(f.stat().st_size for f in tmp_path.iterdir()), line


def test_each_example_is_in_the_readme_and_explains_itself():
    text = (EXAMPLES / 'README.md').read_text()
    for path in EXAMPLES.glob('*.py'):
        assert f'[{path.name}]({path.name})' in text
        assert 'usage:' in example(path.name, '--help')
