# SPDX-License-Identifier: Apache-2.0
"""Reviews on a real MongoDB-protocol server that is killed, frozen and cut in the middle of a crowd of voters."""
import os
import pathlib
import subprocess
import time

import bson
import pytest

from hammer import BUILD, Hammer, verify as read_back
from proxy import Proxy

HAMMER = 'hammer_reviews'
LIB = pathlib.Path(os.environ.get('SIGNLOOP_SERVERS_LIB', BUILD / 'servers' / 'lib'))
WAIT_S = 180
VOTERS = 16
# What a call may take of a server that does not answer: two tries, the look for another server, and the end of the
# tries before it; far from "for ever", with room for a busy machine.
CALL_MS = 60000


def into(url, database):
    """The URL of the server with a database, and a short time for a socket."""
    host, query = url.split('/?')
    return f'{host}/{database}?{query}&socketTimeoutMS=2000&serverSelectionTimeoutMS=1500'


class Voters(Hammer):
    """.failures: (status, ms, text)."""

    def __init__(self, url, voters=VOTERS):
        super().__init__(HAMMER, 'vote', url, voters, WAIT_S)

    def take(self, word, rest):
        if word == 'fail':
            status, ms, text = rest.split(' ', 2)
            self.failures.append((status, int(ms), text))
        elif word == 'ok':
            self.acknowledged.add(f'ok {rest}')

    def goes_on(self, more=60):
        super().goes_on(more)

    def fails(self):
        start = len(self.failures)
        self.wait(lambda: len(self.failures) > start, 'a failure')

    def stop(self):
        super().stop()
        assert {status for status, _, _ in self.failures} <= {'AWAY', 'TIMEOUT', 'BUSY'}, self.failures[-3:]
        assert max((ms for _, ms, _ in self.failures), default=0) < CALL_MS
        return self


@pytest.fixture
def hammer():
    all_of = []

    def start(url, voters=VOTERS):
        all_of.append(Voters(url, voters))
        return all_of[-1]

    yield start
    for h in all_of:
        h.close()


def verify(url, *hammers):
    """Every acknowledged vote is there once, and the store keeps its promises."""
    p = read_back(HAMMER, url, [line for h in hammers for line in h.acknowledged], WAIT_S)
    assert p.returncode == 0, f'exit {p.returncode}\n{p.stdout[-2000:]}\n{p.stderr}'
    checked = int(p.stdout.split()[-3])
    assert checked == sum(len(h.acknowledged) for h in hammers) and checked
    return p.stdout


def refused(url, *words):
    """Opening it fails at once and for good, and says why."""
    p = read_back(HAMMER, url, [], WAIT_S)
    assert p.returncode in (2, 3), p.stdout + p.stderr
    for word in words:
        assert word in p.stderr, p.stderr
    return p.stderr


def mongo(script, url):
    """Runs Python with pymongo, which the server's own environment has; `client` is the server."""
    python = next(LIB.glob('mongodb-*/bin/python'))
    code = f'import sys, pymongo\nclient = pymongo.MongoClient(sys.argv[1])\n{script}\n'
    p = subprocess.run([python, '-c', code, url], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert p.returncode == 0, p.stderr


def test_a_server_killed_in_the_middle_loses_and_doubles_no_vote(servers, hammer):
    server = servers('mongodb')
    url = into(server.url, 'killed')
    two = [hammer(url, VOTERS // 2), hammer(url, VOTERS // 2)]  # two processes, as two replicas of a role
    for _ in range(2):
        for h in two:
            h.goes_on(30)
        server.kill()
        for h in two:
            h.fails()
        server.up()
        for h in two:
            h.goes_on(30)
    for h in two:
        h.stop()
    verify(url, *two)


def test_a_frozen_server_fails_calls_in_time_and_they_go_on(servers, hammer):
    server = servers('mongodb')
    url = into(server.url, 'frozen')
    h = hammer(url)
    h.goes_on()
    server.freeze()
    try:
        h.fails()
    finally:
        server.thaw()
    h.goes_on()
    h.stop()
    verify(url, h)


def test_answers_thrown_away_leave_each_vote_there_once(servers, hammer, proxy):
    server = servers('mongodb')
    between = proxy(server)
    url = into(server.url, 'thrown')
    through = into(between.url.replace('replicaSet=secantus', 'directConnection=true'), 'thrown')
    h = hammer(through)
    for _ in range(3):
        h.goes_on(30)
        between.drop_answers()  # the server counts the vote, the caller does not hear of it
        h.fails()
        between.heal()
        between.cut()
    h.goes_on(30)
    h.stop()
    verify(url, h)


def test_the_driver_sends_a_vote_again_after_a_cut_connection(servers, hammer):
    server = servers('mongodb', set={'mongodb.enable-test-commands': 'true'})
    url = into(server.url, 'cut')
    h = hammer(url)
    for n in range(3):
        h.goes_on(30)
        mongo('client.admin.command("configureFailPoint", "failCommand", mode={"times": 5}, '
              'data={"failCommands": ["update"], "closeConnection": True})', server.url)
        h.goes_on(30)
    h.stop()
    verify(url, h)


class NoLimits(Proxy):
    """Before a server that does not keep to the limit of a find."""

    def _pieces(self, pair, way, source, sink):
        if way == 'down':
            return super()._pieces(pair, way, source, sink)
        with source.makefile('rb') as f:
            while head := f.read(4):
                sink.sendall(self.without_limit(head + f.read(int.from_bytes(head, 'little') - 4)))
        return True

    @staticmethod
    def without_limit(message):
        """OP_MSG: a header of 16 bytes, flags, then 0 and the command; a find has nothing behind it."""
        op, size = int.from_bytes(message[12:16], 'little'), int.from_bytes(message[21:25], 'little')
        if op != 2013 or message[20] or 21 + size != len(message):
            return message
        command = bson.decode(message[21:])
        command.pop('limit', None)
        command.pop('batchSize', None)
        body = bson.encode(command)
        return (21 + len(body)).to_bytes(4, 'little') + message[4:21] + body


def test_a_server_that_answers_with_more_than_was_asked_for_is_stopped(servers, hammer):
    server = servers('mongodb')
    between = NoLimits(server.url)
    url = into(between.url.replace('replicaSet=secantus', 'directConnection=true'), 'limits')
    h = hammer(url)
    h.fails()
    status, _, text = h.failures[0]
    assert status == 'CORRUPT' and 'more than the' in text, h.failures
    between.close()


def test_wrong_log_in_is_refused_without_the_password(servers):
    server = servers('mongodb', set={'mongodb.auth': 'true'})
    right = into(server.url, 'auth')
    verify_empty = read_back(HAMMER, right, [], WAIT_S)
    assert verify_empty.returncode == 0, verify_empty.stderr
    user = right.split('//')[1].split(':')[0]
    secret = right.split(':')[2].split('@')[0]
    said = refused(right.replace(f':{secret}@', ':qwertz-guess@'), 'USAGE', 'log-in refused')
    assert 'qwertz-guess' not in said
    said = refused(right.replace(f'{user}:{secret}@', '').replace('&authSource=admin', ''), 'USAGE')
    assert secret not in said


def test_a_log_in_cut_in_the_middle_is_no_refusal(servers, hammer, proxy):
    server = servers('mongodb', set={'mongodb.auth': 'true'})
    between = proxy(server)
    url = into(server.url, 'login')
    h = hammer(into(between.url.replace('replicaSet=secantus', 'directConnection=true'), 'login'))
    for way, sizes in (('up', range(100, 1300, 150)), ('down', range(100, 900, 150))):
        for size in sizes:  # the greeting, each message of the log-in, the first command
            h.goes_on(20)
            between.cut_after(size, way)
            between.cut()
            h.fails()
            between.heal()
            between.cut()
    h.goes_on(20)
    h.stop()
    assert any('log-in' in text for _, _, text in h.failures), 'no cut met the log-in'
    verify(url, h)


def test_wrong_options_sets_and_formats_are_refused(servers):
    server = servers('mongodb')
    url = into(server.url, 'wrong')
    refused(url.replace('replicaSet=secantus', 'replicaSet=other'), 'USAGE', "no member of replicaSet 'other'")
    for option, word in (('w=1', 'majority is wanted'), ('journal=false', 'true is wanted'), ('tls=yes', 'true or false'),
                         ('maxPoolSize=0', 'from 1 to 1000'), ('tlsCAFile=/none', 'can be read'), ('authMechanism=X', 'authMechanism'),
                         ('compressors=nonsense', 'compressors'), ('readPreference=secondary', 'primary is wanted'),
                         ('poolSize=3', 'no option'), ('srv=yes', '0 or 1')):
        refused(f'{url}&{option}', 'USAGE', word)
    refused(url.replace('/wrong', '/a.b'), 'USAGE', 'letters, digits')
    mongo('client.newer.signloop.insert_one({"_id": "reviews", "v": 2}); client.strange.signloop.insert_one('
          '{"_id": "reviews"}); client.other.reviews.insert_one({"_id": 1}); client.index.reviews.create_index('
          '[("outbox", 1)], name="outbox", unique=True)', server.url)
    refused(url.replace('/wrong', '/newer'), 'UNSUPPORTED', 'format 2')
    refused(url.replace('/wrong', '/strange'), 'INVALID', 'no format number')
    refused(url.replace('/wrong', '/other'), 'INVALID', 'not signloop')
    refused(url.replace('/wrong', '/index'), 'USAGE', 'index')
    start = time.monotonic()
    server.down()
    refused(url, 'AWAY', 'no server answers')
    assert time.monotonic() - start < CALL_MS / 1000


def test_documents_are_readable_by_anyone(servers, hammer):
    """As docs/formats.md says: by pymongo here, by mongosh elsewhere."""
    server = servers('mongodb')
    url = into(server.url, 'shown')
    h = hammer(url, 4)
    h.goes_on(40)
    h.stop()
    mongo('''
n = 0
for r in client.shown.reviews.find():
    live = {}
    for line in r.get("lines", []):
        if line["undo"]:
            del live[line["voter"]]
        else:
            live[line["voter"]] = line["choice"]
    assert sorted(live) == sorted(r.get("voters", [])), r
    assert r["nvotes"] == len(live) and r["state"] in ("open", "tie", "decided"), r
    assert ("outbox" in r) == (r["state"] == "decided"), r
    assert r["state"] != "open" or r["free"] == r["cap"] - len(live) - len(r.get("leases", [])), r
    if r["state"] == "decided":
        assert sorted(r["agreed"]) == sorted(v for v in live if live[v] == r["verdict"]["choice"]), r
    n += len(live)
assert n > 20, n
assert {"next", "order", "state", "voter"} <= set(client.shown.reviews.index_information())
assert client.shown.signloop.find_one({"_id": "reviews"})["v"] == 1
''', server.url)
