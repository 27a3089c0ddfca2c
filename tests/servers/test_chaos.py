# SPDX-License-Identifier: Apache-2.0
"""Cars and voters go on while every server and every role is killed in turn by SIGKILL and started again: in the end
nothing that was answered is lost, doubled or stranded. `make chaos CHAOS_S=3600` does it for longer."""
import os
import random
import subprocess
import threading
import time

from cluster import KINDS, REAL, Car, Cluster, Crowd, new_name, real_url, wait_quiet
from rig import labels_of

CAP = 3
EQUAL = 2  # votes that decide a review of that cap
SECONDS = int(os.environ.get('CHAOS_S', 150))
SEED = int(os.environ.get('CHAOS_SEED', 1))
SERVERS = ('kafka', 'mongodb', 'rest', 'hbase', 'datanode', 'namenode')
BACK_S = 120
STUCK_S = 180  # HBase alone may need a minute and a half to come back
BACKLOG = 100  # open reviews at which cars wait: the review store here reads everything with each vote


def bring_back(instance):
    """What a service manager does. HBase that lost its one DataNode and its own process in a row may wait for its log for
    ever: then it is started once more."""
    try:
        instance.up(seconds=BACK_S)
    except subprocess.TimeoutExpired:
        print(f'\nhbase is started once more: {instance.status()}\n{instance.log("hbase", 10)}')
        for name in ('rest', 'hbase'):
            if 'pid' in instance.status()[name]:
                instance.kill(name)
        instance.up()


def kill_in_turn(rng, instance, cluster, deadline):
    """Kills one victim after the other; gives how often each was."""
    victims = [*SERVERS, *cluster.process]
    killed = dict.fromkeys(victims, 0)
    while time.monotonic() < deadline or not all(killed.values()):
        rng.shuffle(victims)
        for name in victims:
            if time.monotonic() > deadline and all(killed.values()):
                return killed
            threading.Event().wait(rng.uniform(0.5, 3))  # under load
            if name in SERVERS:
                instance.kill(name)
                threading.Event().wait(rng.uniform(0, 4))  # away
                bring_back(instance)
            else:
                cluster.process[name].kill()
                cluster.process[name].start()
            killed[name] += 1
    return killed


def open_work(cluster, crowd):
    """How many things are not finished yet, None when that is unknown, and which, as a text."""
    sick = [t.sick for t in crowd if t.sick]
    assert not sick, sick
    told = cluster.people0.get('/v1/status').json()
    left = {'intake': told['lag'].get('intake'), 'curate': told['lag'].get('curate'), 'open reviews': told['reviews']['open']}
    away = [f'{name} is away: {s["why"]}' for name, s in told['stores'].items() if s['away']]
    texts = [f'{n} {name}' for name, n in left.items() if n != 0] + away
    if texts:
        texts += [f'{t.voter.name} {len(t.voter.answered)} votes, last refusal {t.last}' for t in crowd]
    return None if None in left.values() else sum(left.values()), ', '.join(texts)


def test_nothing_is_lost_when_everything_is_killed_in_turn(servers, tmp_path, demo_frames):
    instance = servers(*SERVERS)
    name = new_name()
    urls = {k: real_url(k, instance.env[REAL[k]], name) for k in KINDS}
    cluster = Cluster(tmp_path, urls, '--reviews-cap', CAP, '--frames-audit', 0.3, '--curate.linger_ms', 500)
    marks = iter(range(10**9))

    def fresh_frame(i):
        """A comment makes it another frame."""
        jpeg = demo_frames[i % len(demo_frames)]
        text = f'{next(marks)}'.encode()
        return jpeg[:2] + b'\xff\xfe' + (len(text) + 2).to_bytes(2, 'big') + text + jpeg[2:]

    def may_send():
        return sum(c.unsure for c in cars) < BACKLOG + sum(len(t.voter.answered) for t in crowd) // EQUAL

    crowd = [Crowd(cluster.named('people'), f'v{i}') for i in range(CAP + 1)]
    cars = [Car(cluster.named('cars'), fresh_frame, may_send) for _ in range(2)]
    try:
        for t in (*cars, *crowd):
            t.start()
        killed = kill_in_turn(random.Random(SEED), instance, cluster, time.monotonic() + SECONDS)
        for t in cars:
            t.end.set()
        bring_back(instance)
        for t in cars:
            t.join(60)
        wait_quiet(lambda: open_work(cluster, crowd), STUCK_S, 'what was begun')
        for t in crowd:
            t.end.set()
        for t in crowd:
            t.join(60)
        keys = set().union(*(c.keys for c in cars))
        votes = {}
        for t in crowd:
            for key, choice in t.voter.answered.items():
                votes.setdefault(key, {})[t.voter.name] = choice
        labels = {l['key'] for l in labels_of(cluster.people0)}
        assert keys <= labels, f'{len(keys - labels)} of {len(keys)} crops that were answered have no label: {sorted(keys - labels)[:5]}'
        for key, wanted in votes.items():  # the test server takes long for one
            stored = cluster.people0.get(f'/v1/reviews/{key}').json()['votes']
            told = sorted((v['voter'], str(v['choice'])) for v in stored if v['voter'] in wanted)
            assert told == sorted(wanted.items()), f'{key}: {stored}'
        assert set(cluster.stop().values()) == {0}
        found = cluster.fsck('--all')
        print(f'\nkilled {killed}; {sum(c.answers for c in cars)} frames, {len(keys)} crops, {sum(map(len, votes.values()))} votes, '
              f'{sum(c.refused for c in cars)} refusals; fsck {found}')
        assert keys and votes
    finally:
        for t in (*cars, *crowd):
            t.end.set()
        cluster.close()
