# SPDX-License-Identifier: Apache-2.0
"""What an expert does by commands: versions, export and import, models, by a running server and beside it."""
import json

import requests

from rig import ROOT, fsck, run, wait_until


def js(*args, **kw):
    return json.loads(run(*args, '--json', **kw).stdout)


def learn_something(server, frames):
    for f in frames:
        server.frame(f, device='car1')
    wait_until(lambda: server.get('/v1/status').json()['labels']['total'] > 0, 30, 'labels')
    server.wait_drained()


def test_versions_travel(start_server, demo_frames, tmp_path):
    server = start_server()
    learn_something(server, demo_frames[:15])
    version = js('dataset', 'snapshot', '--to', server.url, '--note', 'first')
    assert version['new'] and version['version'] == 'v0001' and version['rows'] > 0
    again = js('dataset', 'snapshot', '--data', server.data)  # beside the running server
    assert not again['new'] and again['sha256'] == version['sha256']
    assert [v['version'] for v in js('dataset', 'ls', '--data', server.data)['datasets']] == ['v0001']
    assert js('dataset', 'check', 'latest', '--data', server.data)['ok']

    rows = version['parts']['train'] + version['parts']['heldout']
    for form in ('imagefolder', 'webdataset', 'coco', 'yolo'):
        out = tmp_path / form
        assert js('export', form, out, '--data', server.data)['rows'] == rows
        run('export', form, out, '--data', server.data, ok=(1,))  # not into a folder that holds something
        other = tmp_path / f'data-{form}'
        got = js('import', form, out, '--taxonomy', ROOT / 'taxonomy' / 'de.json', '--data', other)
        assert got['labels'] == rows and got['unknown'] == 0
    assert server.stop() == 0

    second = start_server(data='data-webdataset')
    second.wait_drained()
    gold = js('dataset', 'snapshot', '--to', second.url)
    assert gold['sources'] == {'gold': gold['rows']}
    key = json.loads(run('dataset', 'show', 'v0001', '--data', second.data, '--json').stdout)
    assert key['sha256'] == gold['sha256']
    assert second.stop() == 0
    fsck(second.data, '--all')


def test_forgotten_stays_forgotten(start_server, demo_frames):
    server = start_server()
    learn_something(server, demo_frames[:8])
    js('dataset', 'snapshot', '--to', server.url)
    report = js('dataset', 'forget', '--device', 'car1', '--note', 'sold', '--data', server.data)
    assert report['keys'] and report['versions'] == ['v0001']
    for key in report['keys']:
        server.get(f'/v1/crops/{key}', code=404)
    run('dataset', 'snapshot', '--data', server.data, ok=(1, 2))  # nothing is left to make one of
    assert server.stop() == 0
    assert js('dataset', 'check', 'v0001', '--data', server.data)['ok']  # what was cited stays
    fsck(server.data, '--all')


def test_models_by_command(start_server, demo_frames, tmp_path):
    server = start_server()
    live = js('model', 'show', '--to', server.url)
    assert live['aliases'] == ['live'] and live['digest'] == server.get('/v1/status').json()['bundle']['digest']
    bundle = tmp_path / 'copy.bundle'
    run('model', 'get', 'live', '--out', bundle, '--data', server.data)
    run('model', 'publish', bundle, '--to', server.url, ok=(1,))  # it is live already
    run('model', 'rollback', '--to', server.url, ok=(1,))
    parts = tmp_path / 'parts'
    parts.mkdir()
    run('bundle', 'show', bundle)
    net = tmp_path / 'broken.onnx'
    net.write_bytes(b'no net')
    p = run('model', 'import', '--classifier', net, '--data', server.data, ok=(2,))
    assert 'model import' in p.stderr
    log = js('model', 'log', '--data', server.data)['log']
    assert [e['action'] for e in log] == ['publish'] and log[0]['digest'] == live['digest']
    assert server.stop() == 0
    p = run('model', 'log', '--to', server.url, ok=(3,))
    assert server.url in p.stderr


def test_a_job_trains_judges_and_publishes(start_server, demo_frames):
    server = start_server('--gate-rows', 1, '--dataset-holdout', 0.4)
    learn_something(server, demo_frames)
    before = server.get('/v1/status').json()['bundle']['digest']
    job = server.post('/model/training', {}, code=202).json()

    def ended(job_id):
        j = server.get(f'/v1/jobs/{job_id}').json()
        return j if j['state'] not in ('waiting', 'running') else None

    trained = wait_until(lambda: ended(job['id']), 300, 'the training')
    assert trained['state'] == 'done' and not trained['published'], trained
    assert trained['evaluation']['candidate'] == trained['bundle'] and trained['evaluation']['live'] == before
    models = server.get('/v1/models').json()
    assert models['candidate'] == trained['bundle'] and models['live'] == before

    job = server.post('/v1/jobs', {'kind': 'publish', 'by': 'expert1', 'force': True}, code=202).json()
    published = wait_until(lambda: ended(job['id']), 60, 'the publishing')
    assert published['state'] == 'done' and published['published'], published
    wait_until(lambda: server.frame(demo_frames[0])['bundle'] == trained['bundle'], 30, 'the swap')
    entry = server.get('/v1/models/log').json()['log'][-1]
    assert entry['by'] == 'expert1' and entry['digest'] == trained['bundle']


def test_a_job_that_was_killed_goes_on(start_server, demo_frames):
    server = start_server()
    learn_something(server, demo_frames[:20])
    server.post('/v1/datasets', {}, code=201)
    job = server.post('/v1/jobs', {'kind': 'train', 'options': {'steps': 100000}}, code=202).json()
    wait_until(lambda: server.get(f'/v1/jobs/{job["id"]}').json().get('progress', {}).get('step', 0) > 0, 60, 'a step')
    server.kill()
    server.start()
    assert server.get(f'/v1/jobs/{job["id"]}').json()['state'] == 'interrupted'
    server.post(f'/v1/jobs/{job["id"]}/resume', code=202)
    wait_until(lambda: server.get(f'/v1/jobs/{job["id"]}').json().get('stage') == 'train', 60, 'training')
    assert requests.delete(f'{server.url}/v1/jobs/{job["id"]}', timeout=60).status_code == 200
    wait_until(lambda: server.get(f'/v1/jobs/{job["id"]}').json()['state'] == 'cancelled', 60, 'the end')
