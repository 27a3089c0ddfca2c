# SPDX-License-Identifier: Apache-2.0
"""Each role in a process of its own over shared stores; two processes that answer frames; the folder's lock."""
import subprocess

import pytest
import requests

from rig import BINARY, ROOT, Voter, fsck, labels_of, run, send_all, wait_until


@pytest.fixture
def start_role(start_server, tmp_path):
    shared = tmp_path / 'shared'
    shared.mkdir()
    urls = ['--log', f'sqlite:{shared}/log.db', '--crops', f'sqlite:{shared}/crops.db',
            '--reviews', f'sqlite:{shared}/reviews.db', '--artifacts', f'dir:{shared}/artifacts']

    def start(roles, name=None, *flags):
        return start_server(*urls, *flags, data=name or roles, command=('serve', roles))

    start.shared = shared
    return start


def test_each_role_alone_closes_the_loop(start_role, demo_frames):
    flags = ('--reviews-cap', 1, '--frames-audit', 0.3)
    cars = [start_role('rollout,frames', f'cars{i}', *flags) for i in range(2)]
    people = start_role('labeling', None, *flags)
    start_role('intake', None, *flags)
    data = start_role('curate', None, *flags)
    expert = start_role('learning', None, *flags)

    signs = [s for i, f in enumerate(demo_frames[:20]) for s in cars[i % 2].frame(f)['signs']]
    keys, unsure = {s['key'] for s in signs}, {s['key'] for s in signs if s['status'] == 'review'}
    assert unsure and keys - unsure
    assert cars[1].frame(demo_frames[0])['signs'] == cars[0].frame(demo_frames[0])['signs']
    voter = Voter(people, 'kim')
    wait_until(lambda: voter.run() and unsure <= set(voter.answered), 30, 'every unsure crop in front of a voter')
    wait_until(lambda: {l['key'] for l in labels_of(people)} == keys, 30, 'a label of each crop')
    data.wait_drained()

    version = expert.post('/v1/datasets', {}, code=201).json()
    assert version['rows'] == len(keys)
    job = expert.post('/v1/jobs', {'kind': 'train', 'dataset': version['version'], 'options': {'epochs': 1}}, code=202).json()
    digest = wait_until(lambda: (lambda j: j['bundle'] if j['state'] == 'done' else None)(
        expert.get(f'/v1/jobs/{job["id"]}').json()), 300, 'the training job')
    expert.post(f'/v1/models/{digest}/promote', {'by': 'lee', 'force': True})
    for car in cars:
        wait_until(lambda c=car: c.frame(demo_frames[1])['bundle'] == digest, 30, 'the swap in each process')


def test_a_folder_in_use_is_refused_and_its_holder_named(start_server):
    server = start_server()
    p = subprocess.run([str(BINARY), 'up', '--data', str(server.data), '--listen', '127.0.0.1:0'], cwd=ROOT,
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 3
    assert str(server.process.pid) in p.stderr and 'signloop up' in p.stderr


def test_a_port_in_use_is_refused(start_server, tmp_path):
    server = start_server()
    address = server.url.removeprefix('http://')
    p = subprocess.run([str(BINARY), 'up', '--data', str(tmp_path / 'other'), '--listen', address], cwd=ROOT,
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 3 and address in p.stderr
    assert requests.get(server.url + '/v2/health/live', timeout=10).ok


def test_commands_work_beside_a_running_process(start_server, demo_frames):
    server = start_server()
    send_all(server, demo_frames[:5])
    server.wait_drained()
    assert 'v0001' in run('dataset', 'snapshot', '--data', server.data).stdout
    assert server.get('/v1/datasets/v0001').json()['rows'] > 0
    assert 'publish' in run('model', 'log', '--data', server.data).stdout
    fsck(server.data, '--all')
