# SPDX-License-Identifier: Apache-2.0
"""What the tests from outside share: real processes on free ports, voters, fsck, waiting for events."""
import concurrent.futures as cf
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('SIGNLOOP_BUILD', ROOT / 'build'))
BINARY = BUILD / 'signloop'
BUNDLE = ROOT / 'models' / 'signs-de.bundle'
START_S = 60


def run(*args, ok=(0,), **kw):
    """Runs signloop and returns the finished process; checks its exit status."""
    p = subprocess.run([str(BINARY), *map(str, args)], capture_output=True, text=True, timeout=600, **kw)
    assert p.returncode in ok, f'signloop {" ".join(map(str, args))}: exit {p.returncode}\n{p.stdout}\n{p.stderr}'
    return p


def wait_until(check, seconds=60, what='it'):
    """Calls check() until it gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < end, f'{what} did not happen in {seconds} s'
        time.sleep(0.05)


class Server:
    """One `signloop` process that serves; .url, .data."""

    def __init__(self, data, *args, command=('up',)):
        self.data = pathlib.Path(data)
        self.args = [str(BINARY), *command, '--data', str(data), '--listen', '127.0.0.1:0', *map(str, args)]
        self.log_path = self.data.with_suffix('.log')
        self.process = None
        self.start()

    def start(self):
        log = open(self.log_path, 'ab')
        self.process = subprocess.Popen(self.args, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
        log.close()
        line = self.process.stdout.readline()
        found = re.search(r'http://\S+', line)
        assert found, f'did not start: {line!r}\n{self.log()}'
        self.url = found.group(0).rstrip('/')
        wait_until(self.is_ready, START_S, 'readiness')

    def is_ready(self):
        assert self.process.poll() is None, f'ended with {self.process.returncode}\n{self.log()}'
        try:
            return requests.get(self.url + '/v2/health/ready', timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def log(self):
        return self.log_path.read_text()[-4000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """Drains; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()

    def get(self, path, code=200, **kw):
        r = requests.get(self.url + path, timeout=60, **kw)
        assert r.status_code == code, f'GET {path}: {r.status_code} {r.text[:500]}\n{self.log()}'
        return r

    def post(self, path, body=None, code=200, **kw):
        if body is not None:
            kw['json'] = body
        r = requests.post(self.url + path, timeout=60, **kw)
        assert r.status_code == code, f'POST {path}: {r.status_code} {r.text[:500]}\n{self.log()}'
        return r

    def wait_sample(self, check, seconds, what):
        """Until check(status) holds of a sample that began after this call: the first to come may be under way already."""
        seen = {self.get('/v1/status').json()['uptime_s']}

        def good():
            s = self.get('/v1/status').json()
            seen.add(s['uptime_s'])
            return len(seen) > 2 and check(s)
        wait_until(good, seconds, what)

    def wait_sent(self):
        """Until the labels of all votes before this call are in the log."""
        self.wait_sample(lambda s: s['reviews']['unsent'] == 0, 120, 'the outbox')

    def wait_drained(self):
        """Until the consumers have done all that was in the log before this call."""
        self.wait_sample(lambda s: len(s['lag']) == 2 and not any(s['lag'].values()), 60, 'the consumers')

    def frame(self, jpeg, **query):
        return self.post('/v1/frames', data=jpeg, headers={'Content-Type': 'image/jpeg'}, params=query).json()


def fsck(data, *args):
    """fsck of a data folder; its JSON. Fails when anything is broken."""
    p = run('fsck', '--data', data, '--json', *args, ok=(0, 1))
    found = json.loads(p.stdout)
    assert p.returncode == 0, json.dumps(found, indent=1)
    return found


class Voter:
    """Leases and votes until there is nothing left; keeps what was answered 2xx."""

    def __init__(self, server, name):
        self.server, self.name, self.answered = server, name, {}

    def next(self, n=5):
        r = requests.get(f'{self.server.url}/v1/reviews/next', params={'voter': self.name, 'n': n}, timeout=30)
        r.raise_for_status()
        return r.json()['reviews']

    def post(self, review):
        choice = str(review['candidates'][0]['class']['index']) if review['candidates'] else 'not_a_sign'
        body = {'voter': self.name, 'vote_id': f'{self.name}-{review["key"]}', 'choice': choice}
        r = requests.post(f'{self.server.url}/v1/reviews/{review["key"]}/votes', json=body, timeout=30)
        if r.status_code == 200:
            self.answered[review['key']] = choice
        return r

    def vote(self, review):
        r = self.post(review)
        assert r.status_code in (200, 409), r.text  # 409: decided by others in between, or no room
        return r

    def run(self, limit=10000):
        while len(self.answered) < limit:
            reviews = self.next()
            if not reviews:
                return self
            for review in reviews:
                self.vote(review)
        return self


def send_all(server, frames):
    with cf.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda f: server.frame(f, device='car1'), frames))


def vote_all(server, voters):
    with cf.ThreadPoolExecutor(voters) as pool:
        return list(pool.map(lambda i: Voter(server, f'v{i}').run(), range(voters)))


def labels_of(server):
    labels, after = [], -1
    while True:
        page = server.get('/v1/labels', params={'after': after, 'n': 500}).json()
        labels += page['labels']
        if not page['labels']:
            return labels
        after = page['next']


def train(server, version):
    """A job of one epoch on a version, to its end; the job. Its bundle is not published."""
    job = server.post('/v1/jobs', {'kind': 'train', 'dataset': version, 'publish': False, 'options': {'epochs': 1}}, code=202).json()

    def done():
        j = server.get(f'/v1/jobs/{job["id"]}').json()
        assert j['state'] not in ('failed', 'interrupted'), j
        return j if j['state'] == 'done' else None

    return wait_until(done, 300, 'the training job')
