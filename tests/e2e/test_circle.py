# SPDX-License-Identifier: Apache-2.0
"""The whole circle by HTTP alone: frames, votes by several voters at once, labels, a version, a short training, publish,
the next answer names the new bundle, rollback. And the same under kill -9."""
import concurrent.futures as cf
import random
import threading

import pytest
import requests

from rig import Voter, fsck, labels_of, send_all, train_and_publish, vote_all, wait_until

CAP = 3


def test_whole_circle(start_server, demo_frames):
    server = start_server('--reviews-cap', CAP, '--frames-audit', 0.3)
    answers = send_all(server, demo_frames)
    signs = [s for a in answers for s in a['signs']]
    assert signs, 'no sign was found in the demo frames'
    before = answers[0]['bundle']
    for s in signs[:5]:
        crop = server.get(f'/v1/crops/{s["key"]}')
        assert crop.headers['Content-Type'] == 'image/jpeg' and crop.content[:2] == b'\xff\xd8'
    unsure = {s['key'] for s in signs if s['status'] == 'review'}
    sure = {s['key'] for s in signs if s['status'] == 'accepted'}
    assert unsure and sure

    assert send_all(server, demo_frames[:3])[0]['signs'] == answers[0]['signs']
    wait_until(lambda: server.get('/v1/status').json()['reviews']['open'] >= len(unsure - sure), 30, 'intake')
    voters = vote_all(server, CAP + 1)
    for key in list(unsure)[:20]:
        review = server.get(f'/v1/reviews/{key}').json()
        assert review['state'] == 'decided' and review['verdict']['votes'] <= CAP
        for v in voters:
            if key in v.answered:
                assert any(x['voter'] == v.name and str(x['choice']) == v.answered[key] for x in review['votes'])

    want = unsure | sure
    labels = wait_until(lambda: (lambda ls: ls if {l['key'] for l in ls} >= want else None)(labels_of(server)), 30, 'labels')
    assert {l['key'] for l in labels} == want
    assert {l['source'] for l in labels} == {'model', 'votes'}

    server.wait_drained()
    version = server.post('/v1/datasets', {'note': 'circle'}, code=201).json()
    assert version['rows'] == len(want)
    name = version['version']
    assert server.get(f'/v1/datasets/{name}').json()['sha256'] == version['sha256']

    job = train_and_publish(server, name)
    digest = job['bundle']
    assert digest != before
    server.post(f'/v1/models/{digest}/promote', {'by': 'expert1', 'force': True, 'note': 'circle'})
    wait_until(lambda: server.frame(demo_frames[5])['bundle'] == digest, 30, 'the swap')
    server.post('/v1/models/rollback', {'by': 'expert1'})
    wait_until(lambda: server.frame(demo_frames[6])['bundle'] == before, 30, 'the rollback')
    log = server.get('/v1/models/log').json()['log']
    assert [e['action'] for e in log][-2:] == ['publish', 'rollback']

    assert server.stop() == 0
    fsck(server.data, '--all')


def test_audit_asks_people_about_sure_signs(start_server, demo_frames):
    server = start_server('--frames-audit', 1)
    signs = [s for f in demo_frames[:10] for s in server.frame(f)['signs']]
    assert signs and all(s['status'] == 'review' for s in signs)
    wait_until(lambda: server.get('/v1/status').json()['reviews']['open'] == len({s['key'] for s in signs}), 30, 'intake')


def test_swap_under_load_fails_no_request(start_server, demo_frames):
    server = start_server()
    first = server.frame(demo_frames[0])['bundle']
    version_ready = wait_until(lambda: server.get('/v1/status').json()['bundle'], 30, 'bundle')
    assert version_ready['digest'] == first
    send_all(server, demo_frames)
    server.wait_drained()
    version = server.post('/v1/datasets', {}, code=201).json()['version']
    digest = train_and_publish(server, version)['bundle']
    with cf.ThreadPoolExecutor(2) as pool:
        load = [pool.submit(server.frame, demo_frames[i % 40]) for i in range(40)]
        server.post(f'/v1/models/{digest}/promote', {'by': 'expert1', 'force': True})
        bundles = {f.result()['bundle'] for f in load}
    assert bundles <= {first, digest}
    wait_until(lambda: server.frame(demo_frames[0])['bundle'] == digest, 30, 'the swap')


@pytest.mark.parametrize('seed', range(3))
def test_kill_at_any_moment_loses_nothing(start_server, demo_frames, seed):
    rng = random.Random(seed)
    server = start_server('--reviews-cap', CAP, '--frames-audit', 0.3)
    crops, votes = set(), {}
    for round_ in range(3):
        kill_after = rng.randrange(1, 25)

        def frames():
            for i, f in enumerate(demo_frames):
                try:
                    crops.update(s['key'] for s in server.frame(f)['signs'])
                except (requests.ConnectionError, requests.ReadTimeout):
                    return
                if i == kill_after:
                    server.kill()
                    return

        def voting(name):
            v = Voter(server, name)
            try:
                v.run()
            except requests.RequestException:
                pass
            return v

        with cf.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(voting, f'r{round_}v{i}') for i in range(3)]
            pool.submit(frames).result()
            for v in (f.result() for f in running):
                votes.update({(k, v.name): c for k, c in v.answered.items()})
        server.start()
    for key in crops:
        server.get(f'/v1/crops/{key}')
    for (key, voter), choice in votes.items():
        got = server.get(f'/v1/reviews/{key}').json()['votes']
        assert any(x['voter'] == voter and str(x['choice']) == choice for x in got), (key, voter)
    server.wait_drained()
    assert server.stop() == 0
    fsck(server.data, '--all')


@pytest.mark.parametrize('seed', range(3))
def test_kill_while_learning_and_publishing_breaks_nothing(start_server, demo_frames, seed):
    """The expert's half of the circle: version, training, publish, rollback, killed wherever it is."""
    rng = random.Random(seed)
    server = start_server()
    send_all(server, demo_frames[:20])
    server.wait_drained()
    for _ in range(2):
        killer = threading.Timer(rng.uniform(0.05, 3), server.kill)
        killer.start()
        try:
            while True:
                version = server.post('/v1/datasets', {'force': True}, code=201).json()['version']
                digest = train_and_publish(server, version)['bundle']
                server.post(f'/v1/models/{digest}/promote', {'by': 'expert1', 'force': True})
                server.post('/v1/models/rollback', {'by': 'expert1'})
        except requests.RequestException:
            killer.join()
        server.start()
    assert server.frame(demo_frames[0])['bundle'] in {e['digest'] for e in server.get('/v1/models/log').json()['log']}
    server.wait_drained()
    assert server.stop() == 0
    fsck(server.data, '--all')
