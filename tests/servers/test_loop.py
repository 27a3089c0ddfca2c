# SPDX-License-Identifier: Apache-2.0
"""The whole circle (frame, label, version, model, swap, rollback) by seven processes over all four real servers, and over
every mix of one real server and three embedded stores."""
import concurrent.futures as cf

import pytest

from cluster import KINDS, Cluster, base_urls, embedded_url, new_name, real_url
from rig import Voter, labels_of, train, wait_until

CAP = 3
MIXES = {'all real': set(KINDS), **{f'{k} real': {k} for k in KINDS}, 'all embedded': set()}


@pytest.fixture
def cluster_of(tmp_path):
    made = []

    def make(real, *flags):
        urls, bases = {}, base_urls() if real else {}
        name = new_name()
        (tmp_path / 'shared').mkdir()
        for kind in KINDS:
            urls[kind] = real_url(kind, bases[kind], name) if kind in real else embedded_url(kind, tmp_path / 'shared')
        made.append(Cluster(tmp_path, urls, *flags))
        return made[-1]

    yield make
    for c in made:
        c.close()


@pytest.mark.parametrize('mix', MIXES)
def test_whole_circle_by_seven_processes(cluster_of, demo_frames, mix):
    c = cluster_of(MIXES[mix], '--reviews-cap', CAP, '--frames-audit', 0.3, '--frames.deadline_ms', 60000,
                   '--http.deadline_ms', 60000)
    cars, people = c.named('cars'), c.named('people')
    frames = demo_frames[:24]
    with cf.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: cars[i % 2].frame(frames[i], device='car1'), range(len(frames))))
    signs = [s for a in answers for s in a['signs']]
    before = answers[0]['bundle']
    keys, unsure = {s['key'] for s in signs}, {s['key'] for s in signs if s['status'] == 'review'}
    assert unsure and keys - unsure
    assert cars[1].frame(frames[0])['signs'] == answers[0]['signs']
    for key in list(keys)[:3]:
        assert cars[1].get(f'/v1/crops/{key}').content[:2] == b'\xff\xd8'

    with cf.ThreadPoolExecutor(CAP + 1) as pool:
        def vote(i):
            v = Voter(people[i % 2], f'v{i}')
            wait_until(lambda: v.run() and c.people0.get('/v1/status').json()['reviews']['open'] == 0, 120, 'all votes')
            return v
        wait_until(lambda: sum(c.people0.get('/v1/status').json()['reviews'][s] for s in ('open', 'tie', 'decided')) >= len(unsure),
                   60, 'intake')
        voters = list(pool.map(vote, range(CAP + 1)))
    for key in unsure:
        review = c.people1.get(f'/v1/reviews/{key}').json()
        assert review['state'] == 'decided' and review['verdict']['votes'] <= CAP
        for v in voters:
            if key in v.answered:
                assert any(x['voter'] == v.name and str(x['choice']) == v.answered[key] for x in review['votes'])
    wait_until(lambda: {l['key'] for l in labels_of(c.people1)} == keys, 60, 'a label of each crop')
    c.wait_drained()

    version = c.expert.post('/v1/datasets', {'note': mix}, code=201).json()
    assert version['rows'] == len(keys)
    digest = train(c.expert, version['version'])['bundle']
    c.expert.post(f'/v1/models/{digest}/promote', {'by': 'lee', 'force': True})
    for car in cars:
        wait_until(lambda: car.frame(frames[1])['bundle'] == digest, 60, 'the swap in each process')
    c.expert.post('/v1/models/rollback', {'by': 'lee'})
    for car in cars:
        wait_until(lambda: car.frame(frames[2])['bundle'] == before, 60, 'the rollback in each process')
    assert [e['action'] for e in c.expert.get('/v1/models/log').json()['log']][-2:] == ['publish', 'rollback']
    assert set(c.stop().values()) == {0}
    c.fsck('--all')
    if 'log' in MIXES[mix]:  # labels that Kafka keeps for so long only are in segments, and nothing is missed
        c.trim_labels()
        assert c.fsck()['checked']['labels_not_kept'] >= len(keys)
        assert c.fsck('--all', '--repair')['repaired'] == []
