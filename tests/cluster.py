# SPDX-License-Identifier: Apache-2.0
"""The loop as processes over stores chosen by URL: any mix of the four real servers and the embedded ones."""
import json
import os
import re
import threading
import time
import uuid

import pytest
import requests
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from rig import Server, Voter, run

REAL = {'log': 'SIGNLOOP_TEST_KAFKA', 'crops': 'SIGNLOOP_TEST_HBASE', 'reviews': 'SIGNLOOP_TEST_MONGODB',
        'artifacts': 'SIGNLOOP_TEST_WEBHDFS'}
KINDS = tuple(REAL)


def base_urls():
    """The running test servers, from the environment; skips where one is absent and absence is allowed."""
    missing = [v for v in REAL.values() if not os.environ.get(v)]
    if missing:
        assert os.environ.get('SIGNLOOP_TEST_SERVERS') != 'required', f'not set: {", ".join(missing)}'
        pytest.skip(f'no servers: {", ".join(missing)} not set (make servers)')
    return {k: os.environ[v] for k, v in REAL.items()}


def real_url(kind, base, name):
    """A namespace `name` of its own on the server at `base`."""
    path, _, query = base.partition('?')
    path = path.rstrip('/')
    extra = {'log': f'prefix={name}.&partitions=4&session_ms=6000'}.get(kind, '')
    query = '&'.join(q for q in (query, extra) if q)
    path += {'log': '', 'crops': f'/{name}', 'reviews': f'/{name}', 'artifacts': f'/test/{name}'}[kind]
    return path + ('?' + query if query else '')


def embedded_url(kind, folder):
    return {'log': f'sqlite:{folder}/log.db?partitions=4', 'crops': f'sqlite:{folder}/crops.db',
            'reviews': f'sqlite:{folder}/reviews.db', 'artifacts': f'dir:{folder}/artifacts'}[kind]


class Cluster:
    """Processes of one loop. roles: (name, 'ROLE,...') in the order in which they start."""

    ROLES = (('cars0', 'rollout,frames'), ('cars1', 'rollout,frames'), ('people0', 'labeling'), ('people1', 'labeling'),
             ('intake', 'intake'), ('curate', 'curate'), ('expert', 'learning'))

    def __init__(self, folder, urls, *flags, roles=ROLES):
        self.folder, self.urls, self.flags = folder, urls, flags
        self.process = {}
        for name, what in roles:
            self.process[name] = Server(folder / name, *self.store_flags(), *flags, command=('serve', what))

    def __getattr__(self, name):
        try:
            return self.__dict__['process'][name]
        except KeyError:
            raise AttributeError(name) from None

    def named(self, prefix):
        return [p for n, p in self.process.items() if n.startswith(prefix)]

    def store_flags(self):
        return [x for k in KINDS for x in (f'--store-{k}', self.urls[k])]

    def wait_drained(self):
        self.process['curate'].wait_drained()

    def fsck(self, *args):
        p = run('fsck', '--data', self.folder / 'fsck', *self.store_flags(), '--json', *args, ok=(0, 1, 3))
        assert p.returncode == 0, f'fsck: exit {p.returncode}\n{p.stdout}\n{p.stderr}'
        return json.loads(p.stdout)

    def trim_labels(self):
        """Kafka drops all messages of topic labels, as after its retention."""
        brokers, prefix = re.fullmatch(r'kafka://([^/?]+).*[?&]prefix=([^&]+).*', self.urls['log']).groups()
        admin = AdminClient({'bootstrap.servers': brokers})
        topic = f'{prefix}labels'
        for f in admin.delete_records([TopicPartition(topic, p, OFFSET_END)
                                       for p in admin.list_topics(topic).topics[topic].partitions]).values():
            f.result()

    def stop(self):
        return {name: p.stop() for name, p in self.process.items() if p.process.poll() is None}

    def close(self):
        for p in self.process.values():
            p.close()


def new_name():
    return f't{uuid.uuid4().hex[:12]}'


class Car(threading.Thread):
    """Sends frames for ever to one process after the other, while may() says so; keeps the keys of what was answered 2xx
    and how many of them ask for votes. What is refused or cut is sent again, as a car would."""

    def __init__(self, cars, frames, may=lambda: True):
        super().__init__(daemon=True)
        self.cars, self.frames, self.may = cars, frames, may
        self.end = threading.Event()
        self.keys, self.unsure, self.answers, self.refused = set(), 0, 0, 0

    def run(self):
        i = 0
        while not self.end.is_set():
            if not self.may():
                self.end.wait(0.2)
            elif self.send(self.cars[i % len(self.cars)], self.frames(i)):
                i += 1

    def send(self, car, frame):
        while not self.end.is_set():
            try:
                r = requests.post(car.url + '/v1/frames', data=frame, headers={'Content-Type': 'image/jpeg'}, timeout=30)
            except requests.RequestException:
                r = None
            if r is not None and r.status_code == 200:
                signs = r.json()['signs']
                self.keys.update(s['key'] for s in signs)
                self.unsure += sum(s['status'] == 'review' for s in signs)
                self.answers += 1
                return True
            assert r is None or r.status_code in (503, 504), f'{r.status_code} {r.text}'
            self.refused += 1
            self.end.wait(min(float(r.headers.get('Retry-After', 1)), 1) if r is not None else 0.3)
        return False


class Crowd(threading.Thread):
    """One voter who goes on through refusals and cut connections, with the same vote id until it is answered. sick: why it
    ended by itself; "" while it goes on."""

    def __init__(self, people, name):
        super().__init__(daemon=True)
        self.people, self.voter = people, Voter(people[0], name)
        self.end = threading.Event()
        self.sick, self.last = '', ''

    def run(self):
        try:
            turn = 0
            while not self.end.is_set():
                turn += 1
                self.voter.server = self.people[turn % len(self.people)]
                self.turn()
        except Exception as e:  # pylint: disable=broad-except
            self.sick = f'{self.voter.name}: {type(e).__name__}: {e}'

    def turn(self):
        try:
            reviews = self.voter.next(3)
        except requests.RequestException as e:
            self.last = str(e)
            self.end.wait(0.3)
            return
        for review in reviews:
            self.vote(review)
        if not reviews:
            self.end.wait(0.2)

    def vote(self, review):
        """Another refusal than 503 and 504 may come once while a server dies under the request; it may not stay."""
        patience = time.monotonic() + 60
        while not self.end.is_set():
            try:
                r = self.voter.post(review)
                if r.status_code in (200, 409):
                    return
                self.last = f'{review["key"]}: {r.status_code} {r.text}'
                assert r.status_code in (503, 504) or time.monotonic() < patience, self.last
            except requests.RequestException as e:
                self.last = str(e)
            self.end.wait(0.3)


def wait_quiet(look, seconds, what):
    """look() gives how much is still open, None when that is unknown, and a text that says what, '' when nothing is.
    However long it takes, it must become less within any span of `seconds`."""
    least, end = float('inf'), time.monotonic() + seconds
    while (told := look())[1]:
        if told[0] is not None and told[0] < least:
            least, end = told[0], time.monotonic() + seconds
        assert time.monotonic() < end, f'{what}: no less for {seconds} s: {told[1]}'
        time.sleep(1)
