# SPDX-License-Identifier: Apache-2.0
"""Stores that go away from running processes and come back: each role says what it lacks, refuses or keeps what it cannot
do, and goes on by itself; nothing is lost."""
import json
import signal
import socket
import subprocess
import time

import pytest
import requests

from rig import BINARY, ROOT, Voter, fsck, labels_of, run, wait_until

PATIENT = ('--frames-deadline_ms', 9000)  # these tests are not about a busy machine
STORES = ('log', 'crops', 'reviews', 'artifacts')


class Shared:
    """The stores of all processes, each behind a file: while it exists, the store is away."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def url(self, store, options=''):
        scheme, name = ('dir', 'artifacts') if store == 'artifacts' else ('sqlite', f'{store}.db')
        return f'fault+{scheme}:{self.folder}/{name}?file={self.folder}/{store}.away{options}'

    def urls(self, options=''):
        return [word for s in STORES for word in (f'--{s}', self.url(s, options))]

    def take(self, *stores):
        for s in stores:
            (self.folder / f'{s}.away').touch()

    def give_back(self, *stores):
        for s in stores:
            (self.folder / f'{s}.away').unlink()

    def fsck(self, data):
        """With the stores themselves: fsck is no process that runs."""
        plain = [word for s in STORES for word in (f'--store-{s}', self.url(s).replace('fault+', '').split('?')[0])]
        return fsck(data, '--all', *plain)


@pytest.fixture
def shared(tmp_path):
    return Shared(tmp_path / 'shared')


def readiness(server):
    r = requests.get(server.url + '/v2/health/ready', timeout=10)
    return r.status_code, r.json()


def wait_missing(server, role, store, ready):
    """Until readiness names the store for the role, and says whether the role goes on."""
    def seen():
        code, answer = readiness(server)
        named = [m for m in answer['missing'] if m.startswith(role + ': ') and store in m]
        return named and answer['ready'] == ready and code == (200 if ready else 503)
    wait_until(seen, 30, f'{role} without {store}: {readiness(server)}')


def wait_well(server):
    wait_until(lambda: readiness(server) == (200, {'ready': True, 'missing': []}), 60, f'readiness: {readiness(server)}')


def has_caught_up(server):
    return server.get('/v1/status').json()['spool']['frames'] == 0


def store_of(server, name):
    return server.get('/v1/status').json()['stores'][name]


def test_votes_of_before_are_no_rate(start_server, shared, demo_frames):
    """The review store is away when the process starts: what it then says has not come in this second."""
    def reviews(server):
        return server.get('/v1/status').json()['reviews']
    flags = ('--reviews-cap', 1, '--frames-audit', 0.3, *PATIENT)
    server = start_server('--store-reviews', shared.url('reviews'), *flags)
    server.frame(demo_frames[0])
    wait_until(lambda: reviews(server)['open'], what='reviews')
    Voter(server, 'ann').run()
    wait_until(lambda: reviews(server)['votes'], what='votes')
    assert server.stop() == 0
    shared.take('reviews')
    server = start_server('--store-reviews', shared.url('reviews', '&calls=stats'), *flags)
    assert reviews(server)['votes'] == 0
    shared.give_back('reviews')
    seen = wait_until(lambda: (lambda r: r if r['votes'] else None)(reviews(server)), what='the votes')
    assert seen['votes_per_s'] == 0


def test_every_role_outlives_every_store(start_server, shared, demo_frames):
    flags = [*shared.urls(), '--reviews-cap', 1, '--frames-audit', 0.3, *PATIENT]
    start = lambda roles: start_server(*flags, data=roles, command=('serve', roles))
    cars, people, inn, data, expert = (start(r) for r in ('frames,rollout', 'labeling', 'intake', 'curate', 'learning'))
    everyone = (cars, people, inn, data, expert)
    frames = iter(demo_frames)
    keys = {s['key'] for s in cars.frame(next(frames))['signs']}
    needs = {  # who cannot do its work, and who goes on without
        'log': ((cars, 'frames', False), (inn, 'intake', False), (data, 'curate', False), (people, 'labeling', True),
                (expert, 'learning', True), (cars, 'rollout', None)),
        'crops': ((cars, 'frames', False), (data, 'curate', False), (people, 'labeling', False)),
        'reviews': ((inn, 'intake', False), (people, 'labeling', False)),
        'artifacts': ((data, 'curate', False), (expert, 'learning', False), (cars, 'rollout', True)),
    }
    titles = {'log': 'the log', 'crops': 'the crop store', 'reviews': 'the review store', 'artifacts': 'the artifact store'}
    for store, who in needs.items():
        shared.take(store)
        for server, role, ready in who:
            wait_missing(server, role, titles[store], ready if ready is not None else False)
        for server in everyone:
            away = wait_until(lambda s=server: (lambda a: a if a['away'] else None)(store_of(s, store)), 30, store)
            assert 'fault' in away['why'] and abs(away['since'] - time.time() * 1000) < 120000
            assert float(next(line for line in server.get('/metrics').text.splitlines() if line.startswith(
                f'signloop_store_away_since_seconds{{store="{store}"}}')).split()[-1]) > 0
        frame = next(frames)
        answer = requests.post(cars.url + '/v1/frames', data=frame, headers={'Content-Type': 'image/jpeg'}, timeout=30)
        if store in ('log', 'crops'):
            assert answer.status_code == 503 and answer.headers['Retry-After'], answer.text
        else:
            assert answer.status_code == 200, answer.text
            keys |= {s['key'] for s in answer.json()['signs']}
        if store == 'reviews':
            for method, path in (('GET', '/v1/reviews/next?voter=kim'), ('GET', '/v1/reviews/stats')):
                r = requests.request(method, people.url + path, timeout=30)
                assert r.status_code == 503 and r.headers['Retry-After'], (path, r.status_code, r.text)
        if store == 'artifacts':
            r = requests.get(expert.url + '/v1/models', timeout=30)
            assert r.status_code == 503 and r.headers['Retry-After'], r.text
        shared.give_back(store)
        for server in everyone:
            wait_well(server)
        keys |= {s['key'] for s in wait_until(lambda f=frame: (lambda r: r.json() if r.status_code == 200 else None)(requests.post(
            cars.url + '/v1/frames', data=f, headers={'Content-Type': 'image/jpeg'}, timeout=30)), 30, 'the frame again')['signs']}
    voter = Voter(people, 'kim')
    wait_until(lambda: voter.run() and {l['key'] for l in labels_of(people)} == keys, 60, 'a label of each crop')
    for server in everyone:
        server.wait_drained()
    shared.fsck(cars.data)


def test_frames_are_kept_where_the_operator_chose_it(start_server, shared, demo_frames):
    flags = [*shared.urls(), '--reviews-cap', 1, '--frames-when_away', 'keep', *PATIENT]
    car = start_server(*flags, data='car', command=('serve', 'frames,rollout,intake,curate,labeling,learning'))
    frames = demo_frames[:12]
    for f in frames[:2]:
        car.frame(f)
    shared.take('log')
    wait_until(lambda: store_of(car, 'log')['away'], 30, 'the log away')
    for f in frames[2:6]:
        kept = car.post('/v1/frames', data=f, headers={'Content-Type': 'image/jpeg'}, params={'frame': 'f7'}, code=202).json()
        assert kept['frame'] == 'f7' and kept['status'] == 'stored'
    wait_until(lambda: car.get('/v1/status').json()['spool']['frames'] == 4, 30, 'the spool in the status')
    plain = [w for s in STORES for w in (f'--store-{s}', shared.url(s).replace('fault+', '').split('?')[0])]
    assert json.loads(run('fsck', '--data', car.data, '--json', *plain).stdout)['waiting']['spooled_frames'] == 4
    assert car.stop() == 0, 'a drain with a store away ends in time'
    # It starts while the log is still away: it waits, and says for what.
    shared.take('crops')
    listen = car.url.removeprefix('http://')
    car.args[car.args.index('127.0.0.1:0')] = listen
    p = subprocess.Popen(car.args, stdout=subprocess.PIPE, stderr=open(car.log_path, 'ab'), text=True, cwd=ROOT)
    try:
        def waits():
            try:
                r = requests.get(car.url + '/v2/health/ready', timeout=10)
                return r.status_code == 503 and 'waits for the log' in r.json()['why']
            except requests.ConnectionError:
                return False
        wait_until(waits, 30, 'readiness while it waits')
        assert requests.get(car.url + '/v2/health/live', timeout=10).status_code == 200
        shared.give_back('log')
        wait_until(lambda: 'waits for the crop store' in requests.get(car.url + '/v2/health/ready', timeout=10).json()['why'], 30,
                   'the next store')
        shared.give_back('crops')
        assert 'serves at' in p.stdout.readline()
        wait_until(lambda: has_caught_up(car), 60, 'the kept frames')
        shared.take('crops')
        wait_until(lambda: store_of(car, 'crops')['away'], 30, 'the crop store away')
        for f in frames[6:]:
            car.post('/v1/frames', data=f, headers={'Content-Type': 'image/jpeg'}, code=202)
        p.send_signal(signal.SIGKILL)
        p.wait()
        shared.give_back('crops')
        p = subprocess.Popen(car.args, stdout=subprocess.PIPE, stderr=open(car.log_path, 'ab'), text=True, cwd=ROOT)
        assert 'serves at' in p.stdout.readline()
        wait_until(lambda: car.get('/v2/health/ready', code=requests.get(car.url + '/v2/health/ready', timeout=10).status_code).json()['ready'],
                   60, 'readiness')
        wait_until(lambda: has_caught_up(car), 60, 'the kept frames')
        signs = {s['key'] for f in frames for s in car.frame(f)['signs']}
        voter = Voter(car, 'kim')
        wait_until(lambda: voter.run() and {l['key'] for l in labels_of(car)} == signs, 60, 'a label of each crop')
        car.wait_drained()
        shared.fsck(car.data)
    finally:
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 0
        p.stdout.close()


def start_away(tmp_path, shared, *flags):
    return subprocess.Popen([str(BINARY), 'serve', 'intake', '--data', str(tmp_path / 'p'), '--listen', '127.0.0.1:0', *shared.urls(),
                             *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_start_waits_no_longer_than_it_may(tmp_path, shared):
    shared.take('reviews')
    p = start_away(tmp_path, shared, '--store-wait_ms', '0')
    _, err = p.communicate(timeout=30)
    assert p.returncode == 3 and 'fault' in err
    p = start_away(tmp_path, shared)
    for line in p.stderr:
        if 'waits' in line:
            break
    assert 'the review store' in line
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=10)
    assert p.returncode == 0
    # What no time heals ends at once.
    wrong = subprocess.run([str(BINARY), 'serve', 'intake', '--data', str(tmp_path / 'q'), '--reviews', f'sqlite:{tmp_path}/x.db?nothing=1'],
                           capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 2 and 'nothing' in wrong.stderr


def test_stores_that_hang_hold_up_neither_the_status_nor_the_end(start_server, shared, demo_frames):
    """Each call takes 30 s to fail: the page answers, frames get 504 or 503, SIGTERM ends it in drain_ms."""
    server = start_server(*shared.urls('&hang_ms=30000'), '--drain_ms', 2000, *PATIENT, data='p', command=(
        'serve', 'frames,rollout,intake,curate,labeling,learning'))
    server.frame(demo_frames[0])
    shared.take(*STORES)
    wait_until(lambda: server.get('/metrics').text, 5)
    before = server.get('/v1/status').json()['uptime_s']
    wait_until(lambda: server.get('/v1/status').json()['uptime_s'] > before + 2, 10, 'a status that goes on')
    r = requests.post(server.url + '/v1/frames', data=demo_frames[1], headers={'Content-Type': 'image/jpeg'}, timeout=30)
    assert r.status_code in (503, 504) and r.headers['Retry-After']
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(15) == 0
    shared.give_back(*STORES)
    server.process.stdout.close()
    shared.fsck(server.data)


def test_who_is_ready_has_a_status(start_server):
    """Though the review store takes its time to say how it is, from the first."""
    server = start_server('--reviews', 'fault+mem:?calls=stats&every=1&hang_ms=3000', data='p', command=('serve', 'rollout'))
    assert server.get('/v1/status').json()['bundle']['digest']


def test_a_start_that_fails_ends_though_a_store_hangs(tmp_path):
    """The address is taken, and the role that started already waits a minute for its store."""
    with socket.create_server(('127.0.0.1', 0)) as taken:
        wrong = subprocess.run([str(BINARY), 'serve', 'intake', '--data', str(tmp_path / 'p'), '--drain_ms', '500',
                                '--log', 'fault+mem:?calls=poll&every=1&hang_ms=60000', '--reviews', 'mem:',
                                '--listen', f'127.0.0.1:{taken.getsockname()[1]}'], capture_output=True, text=True, timeout=40)
    assert wrong.returncode == 3 and 'listen' in wrong.stderr
