# SPDX-License-Identifier: Apache-2.0
"""What the tests of `signloop migrate` share: a data folder with all that there can be, and looks at what arrived."""
import json
import shutil
import sqlite3

import pytest
import requests

from rig import Server, Voter, fsck, labels_of, run, send_all, train, vote_all, wait_until

CAP = 3
FLAGS = ('--reviews-cap', CAP, '--frames-audit', 0.5, '--frames-deadline_ms', 120000, '--http-deadline_ms', 120000)  # no test of speed
STORES = ('artifacts', 'reviews', 'crops', 'log')


def migrate(source, target, *args, ok=(0,)):
    """Runs it; sides are a folder or a list of words. The parsed JSON."""
    p = run('migrate', *words(source, target), *args, '--json', ok=ok)
    return json.loads(p.stdout)


def words(source, target):
    def side(name, s):
        return [w for word in (s if isinstance(s, list) else [s]) for w in (name, word)]
    return side('--from', source) + side('--to', target)


def digests(report):
    return {k: v['sha256'] for k, v in report['stores'].items()}


def urls(folder, *kinds, prefix='', query=''):
    of = {'log': 'sqlite:{}/log.db', 'crops': 'sqlite:{}/crops.db', 'reviews': 'sqlite:{}/reviews.db', 'artifacts': 'dir:{}/artifacts'}
    return [f'{k}={prefix}{of[k].format(folder)}{query}' for k in kinds or of]


@pytest.fixture(scope='session')
def world(tmp_path_factory, demo_frames):
    """A folder with all that there can be: labels of models and people, open reviews, votes taken back, an unsent label,
    two versions, a trained bundle that was published, a crop that was forgotten."""
    folder = tmp_path_factory.mktemp('world') / 'data'
    s = Server(folder, *FLAGS)
    answers = send_all(s, demo_frames[:20])
    s.wait_drained()
    vote_all(s, CAP + 1)
    s.wait_sent()
    s.wait_drained()
    version = s.post('/v1/datasets', {'note': 'one'}, code=201).json()['version']
    digest = train(s, version)['bundle']
    s.post(f'/v1/models/{digest}/promote', {'by': 'expert1', 'force': True})
    send_all(s, demo_frames[20:30])
    s.wait_drained()
    voter = Voter(s, 'half')
    voter.run(3)
    key = next(iter(voter.answered))
    assert requests.delete(f'{s.url}/v1/reviews/{key}/votes', params={'voter': 'half'}, timeout=30).status_code == 200
    s.post('/v1/datasets', {'note': 'two'}, code=201)
    assert s.stop() == 0
    run('dataset', 'forget', next(x['key'] for a in answers for x in a['signs']), '--data', folder)
    fsck(folder, '--all')
    return folder


@pytest.fixture
def source(world, tmp_path):
    return shutil.copytree(world, tmp_path / 'data')


def check_goes_on(start, data, frames, *args):
    """New frames, votes, labels, the next segment, a version, a rollback; then all is whole."""
    s = start(*FLAGS, *args, data=data)
    before = {x['key'] for x in labels_of(s)}
    log = s.get('/v1/models/log').json()['log']
    signs = {x['key'] for a in send_all(s, frames) for x in a['signs']}
    s.wait_drained()
    vote_all(s, CAP + 1)
    wait_until(lambda: {x['key'] for x in labels_of(s)} >= before | signs, 60, 'labels')
    s.wait_drained()
    version = s.post('/v1/datasets', {'note': 'after the move'}, code=201).json()
    assert version['version'] == 'v0003' and version['rows'] > len(signs)
    s.post('/v1/models/rollback', {'by': 'expert1'})
    assert len(s.get('/v1/models/log').json()['log']) == len(log) + 1
    assert s.stop() == 0


def vote_lines(folder):
    db = sqlite3.connect(folder / 'reviews.db')
    rows = db.execute('SELECT r.key, l.voter, l.id, l.choice, l.expert, l.time, l.undo FROM line l JOIN review r ON r.seq = l.review '
                      'ORDER BY r.key, l.seq').fetchall()
    db.close()
    return rows
