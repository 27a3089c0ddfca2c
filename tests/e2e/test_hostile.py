# SPDX-License-Identifier: Apache-2.0
"""What a hostile or unlucky world does: odd requests, broken pictures, votes at once, kills, a full disk, planted damage.

Each test asks for the promise, not for the wording: no crash, no cut answer, nothing answered that is lost, and fsck
that is clean after bad luck and finds what was damaged by hand."""
import collections
import concurrent.futures as cf
import glob
import http.client
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import zlib

import pytest
import requests

from rig import BINARY, fsck, run, wait_until

TIMEOUT = 60
local = threading.local()


def session():
    if not hasattr(local, 'session'):
        local.session = requests.Session()
    return local.session


def raw(server, data, half=False):
    """Sends bytes, reads to the end of the connection or of as many answers as there are; the answers' codes."""
    host, port = server.url[7:].split(':')
    out = b''
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as s:
        try:
            s.sendall(data)
            if half:
                s.shutdown(socket.SHUT_WR)
            while piece := s.recv(65536):
                out += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return [int(code) for code in re.findall(rb'HTTP/1\.1 (\d{3}) ', out)], out


def request(method, target, body=b'', *headers):
    head = [f'{method} '.encode() + target + b' HTTP/1.1', b'Host: t', b'Connection: close', *headers]
    if body or method == 'POST':
        head.append(b'Content-Length: %d' % len(body))
    return b'\r\n'.join(head) + b'\r\n\r\n' + body


def jpeg_size(jpeg, width, height):
    at = jpeg.index(b'\xff\xc0') + 5
    return jpeg[:at] + struct.pack('>HH', height, width) + jpeg[at + 4:]


def png(width, height, data=None, depth=8, color=2, extra=b''):
    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    if data is None:
        data = zlib.compress(b'\0' * ((width * 3 + 1) * height))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)) + extra
            + chunk(b'IDAT', data) + chunk(b'IEND', b''))


def send(server, frames):
    """Frames in; the keys of the crops that were accepted, and of those that people are asked about."""
    accepted, review = [], []
    for jpeg in frames:
        for sign in server.frame(jpeg)['signs']:
            (accepted if sign['status'] == 'accepted' else review).append(sign['key'])
    return accepted, review


def settled(server):
    """True when no consumer lags and nothing waits in the outbox, now (the status page is a second old)."""
    return not any(fsck(server.data)['waiting'].values())


def vote(server, key, voter, choice, vote_id=None, **more):
    body = {'voter': voter, 'vote_id': vote_id or f'{voter}-{key}', 'choice': choice, **more}
    r = session().post(f'{server.url}/v1/reviews/{key}/votes', json=body, timeout=TIMEOUT)
    assert r.status_code in (200, 409), r.text
    return r


# ---- requests ----

ODD = [b'', b'%ff%fe', b'%C3%28', b'%00', b'..%2f..%2fetc%2fpasswd', b'..', b'-1', b'99999999999999999999999', b'1e999', b'nan',
       b'9223372036854775807', b'-9223372036854775808', b'0x10', b'a' * 3000, b'%F0%9F%98%80', b'<script>', b'%0d%0aX-Evil:%201',
       b'latest', b'%', b'%zz', b'f' * 64, b'%ED%A0%80']
BODIES = [b'', b'{', b'null', b'[]', b'[' * 60000, b'{"a":' * 5000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":1,"a":2}', b'\xff\xfe{}',
          b'{"voter":"\xc3\x28"}', b'\0' * 100, b'1' * 70000, b'{"a":"\\ud800"}', b'{"a":"b\\u0000c"}', b'\xef\xbb\xbf{}']
TYPES = [b'Content-Type: application/json', b'Content-Type: text/plain', b'Content-Type: multipart/form-data; boundary=',
         b'Content-Type: application/x-www-form-urlencoded', b'Content-Type: image/png', b'Content-Type: \xff\xfe', b'X: none']
VALUES = [None, True, -1, 1e308, 2**63 - 1, -2**63, '', 'x' * 70, '../../etc/passwd', '\U0001f600', [], {}, {'a': 1}, 1.5, 'live', 'f' * 64,
          'v0001', [[[[]]]], 'nobody']
NAMES = ['kind', 'dataset', 'bundle', 'publish', 'by', 'note', 'options', 'voter', 'vote_id', 'choice', 'expert', 'image_id',
         'selected_label', 'image', 'lat', 'lon', 'time', 'inputs', 'force']


def hostile_requests(openapi, key):
    rnd = random.Random(7)
    for path, methods in openapi['paths'].items():
        for name, about in methods.items():
            method, target = name.upper(), path.split('{')[0].encode()
            fill = b'/'.join(key.encode() if p.startswith('{') else p.encode() for p in path.split('/'))
            if path == '/v1/events':
                continue
            if '{' in path:
                yield from (request(method, target + v) for v in ODD)
            for q in [p['name'].encode() for p in about.get('parameters', []) if p['in'] == 'query']:
                yield from (request(method, fill + b'?' + q + b'=' + v) for v in ODD)
                yield request(method, fill + b'?' + q + b'=1&' + q + b'=2')
            for other in ('PUT', 'PATCH', 'TRACE', 'OPTIONS', 'BREW', 'A' * 300):
                yield request(other, fill)
            if 'training' in path or '/model/' in path:
                continue  # each of these starts a job
            for body in BODIES if 'requestBody' in about else []:
                yield request(method, fill, body, TYPES[0])
                yield request(method, fill, body, rnd.choice(TYPES))
            for _ in range(25 if 'requestBody' in about else 0):
                body = {n: rnd.choice(VALUES) for n in rnd.sample(NAMES, rnd.randint(1, 8))}
                yield request(method, fill, json.dumps(body).encode(), TYPES[0])


def test_no_request_is_answered_with_a_fault(start_server, demo_frames):
    server = start_server('--learning.queue', '1')
    accepted, review = send(server, demo_frames[:6])

    def check(data):
        codes, out = raw(server, data)
        assert len(codes) == 1, (data[:300], out[:300])
        assert codes[0] < 500 or codes[0] == 503, (data[:300], out[:600])
        if codes[0] >= 400:
            error = json.loads(out.partition(b'\r\n\r\n')[2])['error']
            assert error['code'] and error['message'], out

    with cf.ThreadPoolExecutor(8) as pool:
        list(pool.map(check, hostile_requests(server.get('/openapi.json').json(), (review + accepted)[0])))
    assert '"level":"error"' not in server.log()
    assert server.stop() == 0
    fsck(server.data, '--all')


def chunked(body):
    return b'%x\r\n' % len(body) + body + b'\r\n0\r\n\r\n'


def test_odd_connections(start_server, demo_frames):
    server = start_server()
    jpeg = demo_frames[0]
    frame = b'POST /v1/frames HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: image/jpeg\r\n'
    length = b'Content-Length: %d\r\n' % len(jpeg)
    many = b''.join(b'X-%d: 1\r\n' % i for i in range(100))
    page = b'GET /v1/status HTTP/1.1\r\nHost: t\r\n'
    for want, data in (
            (200, frame + b'Transfer-Encoding: chunked\r\n\r\n' + chunked(jpeg)),
            (400, frame + length + b'Transfer-Encoding: chunked\r\n\r\n' + chunked(jpeg)),
            (400, frame + b'Transfer-Encoding: gzip, chunked\r\n\r\n' + chunked(jpeg)),
            (400, frame + b'Transfer-Encoding: chunked\r\n\r\nZZ\r\n'),
            (413, frame + b'Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n'),
            (400, frame + length + b'Content-Length: 3\r\n\r\n' + jpeg),
            (400, frame + b'Content-Length: -5\r\n\r\n'),
            (413, frame + b'Content-Length: 9223372036854775807\r\n\r\n'),
            (422, frame + b'Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00'),
            (413, frame + b'Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n'),
            (504, frame + b'X-Deadline-Ms: 0\r\n' + length + b'\r\n' + jpeg),
            (400, frame + b'X-Deadline-Ms: -1\r\n' + length + b'\r\n' + jpeg),
            (431, page + many + b'Content-Type: x\r\n\r\n'),
            (414, b'GET /' + b'a' * 20000 + b' HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n'),
            (400, page + b'no colon\r\n\r\n'),
            (505, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
            (413, b'GET /v1/status HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc')):
        codes, out = raw(server, data)
        assert codes[:1] == [want], (data[:200], out[:300])
    codes, _ = raw(server, (page + b'\r\n') * 19 + page + b'Connection: close\r\n\r\n')
    assert codes == [200] * 20
    for i in range(100):  # clients that go away, in the middle or at the end of what they say
        with socket.create_connection(('127.0.0.1', int(server.url.rpartition(':')[2]))) as s:
            s.sendall((frame + length + b'\r\n' + jpeg)[:-(i * 997 % len(jpeg)) or None])
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    assert server.frame(jpeg)['signs'] is not None
    assert server.stop() == 0
    fsck(server.data, '--all')


# ---- pictures ----

def test_broken_pictures_are_refused_and_store_nothing(start_server, demo_frames):
    server = start_server('--frames.deadline_ms', '30000')
    jpeg, text = demo_frames[0], zlib.compress(b'\0' * 30_000_000)
    chunk = struct.pack('>I', len(text) + 3) + b'zTXt' + b'a\0\0' + text + struct.pack('>I', zlib.crc32(b'zTXta\0\0' + text))
    for want, picture in (
            (422, b''), (422, jpeg[:2]), (422, jpeg[:3]), (422, jpeg[:-2]), (422, jpeg[:len(jpeg) // 2]),
            (422, jpeg_size(jpeg, 65535, 65535)), (422, jpeg_size(jpeg, 0, 100)), (413, jpeg_size(jpeg, 60000, 60000)),
            (422, jpeg_size(jpeg, 4000, 4000)), (415, b'GIF89a' + jpeg), (415, b'RIFF\0\0\0\0WEBPVP8 ' + jpeg),
            (413, png(100000, 100000, zlib.compress(b'\0' * 1_000_000))), (422, png(2**31 - 1, 2**31 - 1, b'')),
            (422, png(0, 5, b'')), (422, png(100, 100, zlib.compress(b'\0' * 50))), (422, png(9, 9, depth=3)),
            (422, png(9, 9, color=3)), (422, png(10, 10, extra=chunk)), (422, png(7, 7)[:40]),
            (413, jpeg + b'\0' * (1 << 24))):
        r = requests.post(server.url + '/v1/frames', data=picture, headers={'Content-Type': 'image/jpeg'}, timeout=TIMEOUT)
        assert r.status_code == want, (picture[:40], r.text)
    for width, height in ((1, 1), (1, 3000), (65500, 1), (3, 7)):
        assert server.frame(png(width, height))['signs'] == []
    rnd = random.Random(3)
    for _ in range(150):
        damaged = bytearray(rnd.choice((jpeg, png(40, 30))))
        for _ in range(rnd.randint(1, 8)):
            damaged[rnd.randrange(len(damaged))] = rnd.randrange(256)
        r = session().post(server.url + '/v1/frames', data=bytes(damaged), headers={'Content-Type': 'image/png'}, timeout=TIMEOUT)
        assert r.status_code in (200, 413, 415, 422), r.text
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + jpeg + b'\r\n'
    nul = b'--x\r\nContent-Disposition: form-data; name="device"\r\n\r\nde\0v\r\n--x--\r\n'
    server.post('/v1/frames', code=400, data=part + nul, headers={'Content-Type': 'multipart/form-data; boundary=x'})


def test_same_frame_at_once_is_one_crop_and_one_row(start_server, demo_frames):
    server = start_server('--curate.linger_ms', '50', '--frames.deadline_ms', '30000')
    with cf.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: server.frame(demo_frames[i % 3]), range(48)))
    signs = {s['key']: s['status'] for a in answers for s in a['signs']}
    assert all(signs[s['key']] == s['status'] for a in answers for s in a['signs'])
    wait_until(lambda: settled(server), what='labels and reviews')
    stats = server.get('/v1/reviews/stats').json()
    assert stats['open'] == list(signs.values()).count('review')
    version = server.post('/v1/datasets', {}, code=201).json()
    assert version['rows'] == list(signs.values()).count('accepted')
    assert fsck(server.data, '--all')['checked']['crops'] == len(signs)


def test_full_queue_says_503_and_late_frames_504(start_server, demo_frames):
    server = start_server('--frames.queue', '2', '--frames.threads', '1')
    codes = collections.Counter()
    lock = threading.Lock()

    def one(i):
        ms = '1' if i % 5 == 0 else '9000'
        r = session().post(server.url + '/v1/frames', data=demo_frames[i % 40], timeout=TIMEOUT,
                           headers={'Content-Type': 'image/jpeg', 'X-Deadline-Ms': ms})
        with lock:
            codes[r.status_code] += 1
        assert r.status_code in (200, 503, 504), r.text
        assert r.status_code != 503 or r.headers['Retry-After']

    with cf.ThreadPoolExecutor(40) as pool:
        list(pool.map(one, range(400)))
    assert codes[200] and codes[503] and codes[504], codes
    server.frame(demo_frames[0])


# ---- votes ----

@pytest.mark.parametrize('cap', [2, 10])
def test_64_voters_on_few_reviews(start_server, demo_frames, cap):
    server = start_server('--reviews-cap', cap, '--reviews.lease_ms', '1000', '--curate.linger_ms', '50')
    _, keys = send(server, demo_frames)
    wait_until(lambda: server.get('/v1/reviews/stats').json()['open'] == len(keys), what='reviews')
    some = keys[:6]

    def voter(i):
        rnd, name = random.Random(i), f'v{i}'
        for _ in range(20):
            key, choice = rnd.choice(some), rnd.choice(['0', '1', 'not_a_sign'])
            what = rnd.random()
            if what < 0.1:
                session().get(server.url + '/v1/reviews/next', params={'voter': name, 'n': 2}, timeout=TIMEOUT).raise_for_status()
            elif what < 0.2:
                r = session().delete(f'{server.url}/v1/reviews/{key}/votes', params={'voter': name}, timeout=TIMEOUT)
                assert r.status_code in (200, 409), r.text
            else:
                vote_id = f'{name}.{key}.{rnd.randint(0, 2)}'
                first = vote(server, key, name, choice, vote_id)
                again = vote(server, key, name, choice, vote_id)
                if first.status_code == 200:  # the same vote again has the same answer
                    assert again.status_code == 200 and again.json() == first.json()

    with cf.ThreadPoolExecutor(64) as pool:
        list(pool.map(voter, range(64)))
    for key in some:
        review = server.get(f'/v1/reviews/{key}').json()
        votes = review['votes']
        assert len(votes) <= cap and len({v['voter'] for v in votes}) == len(votes)
        counts = [n for _, n in collections.Counter(v['choice'] for v in votes).most_common()] + [0, 0]
        surely = counts[0] > counts[1] + cap - len(votes)
        assert review['state'] == ('decided' if surely else 'tie' if len(votes) == cap else 'open'), review
        if review['state'] == 'tie':
            assert vote(server, key, 'nobody', '1').status_code == 409
        if review['state'] != 'decided':
            assert vote(server, key, 'ann', '1', expert=True).json()['state'] == 'decided'
        assert vote(server, key, 'bob', '0', expert=True).status_code == 409
    wait_until(lambda: settled(server), what='labels')
    found = fsck(server.data, '--all', '--recompute')
    assert found['checked']['verdicts'] == len(keys)


# ---- datasets and models ----

def test_snapshots_and_rollouts_at_once(start_server, demo_frames, tmp_path):
    server = start_server('--curate.linger_ms', '50')
    server.post('/v1/models/rollback', {}, code=409)  # at the first entry
    send(server, demo_frames[:10])
    wait_until(lambda: settled(server), what='labels')
    with cf.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: requests.post(server.url + '/v1/datasets', json={}, timeout=TIMEOUT), range(16)))
    assert {r.status_code for r in made} <= {200, 201}
    assert {r.json()['version'] for r in made} == {'v0001'}
    assert len(server.get('/v1/datasets').json()['datasets']) == 1
    live = server.get('/v1/models').json()['live']

    def move(i):
        if i % 2:
            return requests.post(f'{server.url}/v1/models/{live}/promote', json={'force': True}, timeout=TIMEOUT).status_code
        return requests.post(server.url + '/v1/models/rollback', json={}, timeout=TIMEOUT).status_code

    with cf.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(move, range(16))) <= {200, 409}
    log = server.get('/v1/models/log').json()['log']
    assert [e['n'] for e in log] == list(range(1, len(log) + 1))
    assert server.stop() == 0
    fsck(server.data, '--all')
    shipped = next(iter(sorted(glob.glob(str(server.data / 'artifacts' / 'bundles' / '*.bundle')))))
    good = open(shipped, 'rb').read()
    broken = tmp_path / 'broken.bundle'
    for damaged in (b'', good[:1000], good[:-1000], good[:len(good) // 2] + b'\x55' + good[len(good) // 2 + 1:]):
        broken.write_bytes(damaged)
        run('model', 'publish', broken, '--force', '--data', server.data, ok=(2,))
        run('up', '--bundle', broken, '--data', tmp_path / 'other', '--listen', '127.0.0.1:0', ok=(2,))
    run('up', '--bundle', tmp_path / 'none.bundle', '--data', tmp_path / 'other', '--listen', '127.0.0.1:0', ok=(2,))


# ---- ends ----

class Load:
    """Clients that send frames and votes until told to stop; what was answered, and which answers were cut."""

    def __init__(self, server, frames, number, clients=8):
        self.url, self.frames, self.number = server.url[7:], frames, number
        self.stop, self.lock, self.answered = threading.Event(), threading.Lock(), threading.Event()
        self.cut, self.crops, self.votes = [], set(), set()
        self.threads = [threading.Thread(target=self.client, args=(i,)) for i in range(clients)]
        for t in self.threads:
            t.start()

    def client(self, i):
        rnd, conn = random.Random(self.number * 100 + i), None
        for n in itertools.count():
            if self.stop.is_set():
                return
            if conn is None:
                conn = http.client.HTTPConnection(self.url, timeout=TIMEOUT)
                try:
                    conn.connect()
                except OSError:
                    return  # refused: it is gone
            try:
                close = self.one(conn, rnd, f'c{self.number}-{i}', n)
            except (OSError, http.client.HTTPException) as e:
                with self.lock:
                    self.cut.append(repr(e))
                return
            if close:
                conn.close()
                conn = None

    def one(self, conn, rnd, name, n):
        with self.lock:
            key = rnd.choice(sorted(self.crops)) if self.crops and n % 2 else None
        if key:
            body = json.dumps({'voter': name, 'vote_id': f'{name}-{n}', 'choice': '1'})
            conn.request('POST', f'/v1/reviews/{key}/votes', body, {'Content-Type': 'application/json'})
        else:
            conn.request('POST', '/v1/frames', rnd.choice(self.frames) + name.encode() + b'%d' % n, {'Content-Type': 'image/jpeg'})
        r = conn.getresponse()
        answer = json.loads(r.read())
        assert r.status in (200, 404, 409, 503, 504), answer
        if r.status == 200:
            with self.lock:
                if key:
                    self.votes.add((key, name))
                else:
                    self.crops.update(s['key'] for s in answer['signs'])
                    if len(self.crops) > 3:
                        self.answered.set()
        return r.getheader('Connection') == 'close'

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


def check_kept(server, loads):
    for key in set().union(*(load.crops for load in loads)):
        server.get(f'/v1/crops/{key}')
    for key, name in set().union(*(load.votes for load in loads)):
        assert name in {v['voter'] for v in server.get(f'/v1/reviews/{key}').json()['votes']}


def test_sigterm_under_load_cuts_no_answer(start_server, demo_frames):
    server = start_server()
    loads = []
    for number in range(2):
        load = Load(server, demo_frames, number)
        loads.append(load)
        assert load.answered.wait(TIMEOUT)
        server.process.send_signal(signal.SIGTERM)
        if number:
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
        assert server.process.wait(TIMEOUT) == 0
        load.end()
        assert not load.cut
        fsck(server.data, '--all')
        server.start()
    check_kept(server, loads)


def test_kill_9_again_and_again_loses_nothing(start_server, demo_frames):
    server = start_server('--curate.linger_ms', '50')
    loads = []
    for number in range(4):
        load = Load(server, demo_frames, number)
        loads.append(load)
        assert load.answered.wait(TIMEOUT)
        server.kill()
        load.end()
        fsck(server.data, '--all', '--recompute')
        server.start()
    check_kept(server, loads)
    wait_until(lambda: settled(server), what='labels and reviews')
    fsck(server.data, '--all', '--recompute')


# ---- the data folder ----

def sql(data, db, *statements):
    with sqlite3.connect(data / db) as c:
        for s in statements:
            assert c.execute(s).rowcount != 0, s
    c.close()


def first_file(data, folder):
    return sorted(p for p in (data / 'artifacts' / folder).rglob('*') if p.is_file() and p.suffix != '.sha256')[0]


def flip(path):
    b = bytearray(path.read_bytes())
    b[len(b) // 2] ^= 1
    path.write_bytes(b)


DAMAGE = {
    'a crop': ('crop', lambda d: sql(d, 'crops.db', 'DELETE FROM crop WHERE no = (SELECT min(no) FROM crop)')),
    'a crop byte': ('crop', lambda d: sql(d, 'crops.db', "UPDATE crop SET jpeg = substr(jpeg, 1, length(jpeg) - 9) || x'000102030405060708'"
                                                          ' WHERE no = 1')),
    'a vote': ('verdict', lambda d: sql(d, 'reviews.db', 'DROP TRIGGER line_stays', 'UPDATE line SET choice = choice + 7')),
    'a verdict': ('verdict', lambda d: sql(d, 'reviews.db', 'UPDATE status SET choice = choice + 7 WHERE state = 2')),
    'a state': ('review', lambda d: sql(d, 'reviews.db', 'DELETE FROM status WHERE seq = 1')),
    'a state that none has': ('review', lambda d: sql(d, 'reviews.db', 'UPDATE status SET state = 7 WHERE seq = 1')),
    'a cap': ('review', lambda d: sql(d, 'reviews.db', 'UPDATE review SET cap = 0 WHERE seq = 2')),
    'a review': ('review', lambda d: sql(d, 'reviews.db', 'DELETE FROM review WHERE seq = 1')),
    'all reviews': ('review', lambda d: [p.unlink() for p in d.glob('reviews.db*')]),
    'a bundle': ('model', lambda d: first_file(d, 'bundles').unlink()),
    'a bundle byte': ('model', lambda d: flip(first_file(d, 'bundles'))),
    'an alias entry': ('alias', lambda d: first_file(d, 'aliases').unlink()),
    'a shard': ('shard', lambda d: first_file(d, 'shards').unlink()),
    'a shard byte': ('shard', lambda d: flip(first_file(d, 'shards'))),
    'a segment byte': ('segment', lambda d: flip(first_file(d, 'segments'))),
    'a manifest byte': ('version', lambda d: flip(first_file(d, 'datasets'))),
}


@pytest.fixture(scope='module')
def whole_folder(tmp_path_factory, demo_frames):
    """A folder with one of everything: crops, decided reviews, a version, a model; no process in it."""
    from rig import Server
    server = Server(tmp_path_factory.mktemp('whole') / 'data', '--reviews-cap', '1', '--curate.linger_ms', '50')
    _, keys = send(server, demo_frames[:20])
    wait_until(lambda: server.get('/v1/reviews/stats').json()['open'] == len(keys), what='reviews')
    for key in keys[:3]:
        assert vote(server, key, 'ann', '1').status_code == 200
    wait_until(lambda: settled(server), what='labels')
    server.post('/v1/datasets', {}, code=201)
    assert server.stop() == 0
    fsck(server.data, '--all', '--recompute')
    return server.data


@pytest.mark.parametrize('what', DAMAGE)
def test_fsck_finds_planted_damage(whole_folder, tmp_path, what):
    data = tmp_path / 'data'
    subprocess.run(['cp', '-r', whole_folder, data], check=True)
    kind, plant = DAMAGE[what]
    plant(data)
    p = run('fsck', '--data', data, '--all', '--recompute', '--json', ok=(1,))
    assert kind in {f['what'] for f in json.loads(p.stdout)['findings']}, p.stdout


@pytest.mark.parametrize('db', ['crops.db', 'reviews.db', 'log.db'])
def test_a_broken_database_is_named_and_left_alone(whole_folder, tmp_path, db):
    data = tmp_path / 'data'
    subprocess.run(['cp', '-r', whole_folder, data], check=True)
    for bad in (b'x' * 9000, (data / db).read_bytes()[:5000]):
        (data / db).write_bytes(bad)
        for command in ('up', 'fsck'):
            more = ('--listen', '127.0.0.1:0') if command == 'up' else ()
            assert db in run(command, '--data', data, *more, ok=(2, 3)).stderr
        assert (data / db).read_bytes() == bad


def test_a_folder_or_port_in_use_is_explained(start_server, tmp_path):
    server = start_server()
    held = run('up', '--data', server.data, '--listen', '127.0.0.1:0', ok=(3,))
    assert f'process {server.process.pid}' in held.stderr
    port = server.url.rpartition(':')[2]
    assert 'port' in run('up', '--data', tmp_path / 'other', '--listen', f'127.0.0.1:{port}', ok=(3,)).stderr
    (tmp_path / 'file').write_text('')
    run('up', '--data', tmp_path / 'file', '--listen', '127.0.0.1:0', ok=(2, 3))
    server.get('/v2/health/ready')


def test_a_full_disk_fails_requests_and_loses_nothing(start_server, demo_frames):
    server = start_server('--curate.linger_ms', '50')
    accepted, review = send(server, demo_frames[:10])
    size = os.path.getsize(server.data / 'crops.db-wal')  # files grow no further: writes fail as on a full disk
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    codes = collections.Counter()
    for jpeg in demo_frames[10:]:
        r = requests.post(server.url + '/v1/frames', data=jpeg, headers={'Content-Type': 'image/jpeg'}, timeout=TIMEOUT)
        codes[r.status_code] += 1
        if r.status_code == 200:
            accepted += [s['key'] for s in r.json()['signs']]
    assert codes[503] and set(codes) <= {200, 503}, codes
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    more = send(server, demo_frames[10:])  # there is room again: it goes on without a restart
    for key in accepted + review + more[0] + more[1]:
        server.get(f'/v1/crops/{key}')
    wait_until(lambda: settled(server), what='labels and reviews')
    assert server.stop() == 0
    fsck(server.data, '--all')
