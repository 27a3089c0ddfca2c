# SPDX-License-Identifier: Apache-2.0
"""What an expert does by commands: versions, export and import, models, by a running server and beside it."""
import json

from conftest import ROOT, fsck, run, wait_until


def js(*args, **kw):
    return json.loads(run(*args, '--json', **kw).stdout)


def learn_something(server, frames):
    for f in frames:
        server.frame(f, device='car1')
    wait_until(lambda: server.get('/v1/status').json()['labels']['total'] > 0, 30, 'labels')
    wait_until(lambda: server.get('/v1/status').json()['lag'].get('curate') == 0, 30, 'curate')


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
    wait_until(lambda: second.get('/v1/status').json()['lag'].get('curate') == 0, 30, 'curate')
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
