# SPDX-License-Identifier: Apache-2.0
"""Bundles taken apart, made again, and made of nets from elsewhere: what serves, and what is refused and how."""
import base64
import json
import sys

import onnx
import pytest

from rig import BUNDLE, ROOT, run, wait_until

sys.path.insert(0, str(ROOT / 'tests' / 'golden'))
import onnx_models  # noqa: E402

OTHER_PARTS = ('--taxonomy', ROOT / 'taxonomy' / 'de.json', '--name', 'other')


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    """The shipped bundle taken apart, and a detector in the way of YOLOv5's export beside it."""
    folder = tmp_path_factory.mktemp('parts')
    run('bundle', 'unpack', BUNDLE, folder)
    for name, classes in (('yolo1', 1), ('yolo4', 4)):
        onnx.save(onnx_models.yolo(13, classes)[0], folder / f'{name}.onnx')
    onnx.save(onnx_models.classic(13)[0], folder / 'classic.onnx')
    return folder


def make(parts, out, *args, detector='yolo1.onnx', classifier='classifier.onnx', ok=(0,)):
    return run('bundle', 'make', '--detector', parts / detector, '--classifier', parts / classifier, *OTHER_PARTS, '--out', out,
               *args, ok=ok)


def refusal(parts, out, *args, **kw):
    p = make(parts, out, *args, ok=(2,), **kw)
    assert not out.exists() and len(p.stderr.strip().splitlines()) == 1
    return p.stderr


def test_parts_make_the_same_bundle_again(parts, tmp_path):
    info = json.loads((parts / 'bundle.json').read_text())
    d, c = info['detector'], info['classifier']
    again = tmp_path / 'again.bundle'
    limits = [str(info['thresholds']['default'])] + [f'{k}={v}' for k, v in info['thresholds'].get('by_class', {}).items()]
    run('bundle', 'make', '--detector', parts / 'detector.onnx', '--classifier', parts / 'classifier.onnx', '--taxonomy',
        parts / 'taxonomy.json', '--card', parts / 'card.md', '--name', info['name'], '--created', info['created'], '--decode',
        d['decode'], '--stride', d['stride'], '--mean', d['mean'], '--scale', d['scale'], '--threshold', d['threshold'],
        '--max-side', d['max_side'], '--size', c['size'], '--normalize', c['normalize'], '--context', c['context'],
        '--temperature', repr(c['temperature']), '--thresholds', ','.join(limits), '--out', again)
    run('bundle', 'unpack', again, tmp_path / 'parts')
    for name in ('detector.onnx', 'classifier.onnx', 'taxonomy.json', 'card.md'):
        assert (tmp_path / 'parts' / name).read_bytes() == (parts / name).read_bytes()
    assert json.loads((tmp_path / 'parts' / 'bundle.json').read_text()) == info
    assert 'there already' in run('bundle', 'unpack', again, tmp_path / 'parts', ok=(2,)).stderr


@pytest.mark.parametrize('detector', ['yolo1.onnx', 'yolo4.onnx'])
def test_a_yolov5_detector_serves(start_server, demo_frames, parts, tmp_path, detector):
    """Its weights are random: what it sees means nothing, but every sign must be one."""
    bundle = tmp_path / 'yolo.bundle'
    made = json.loads(make(parts, bundle, '--decode', 'yolov5', '--threshold', 0.05, '--json', detector=detector).stdout)
    server = start_server('--bundle', bundle)
    assert server.get('/v1/status').json()['bundle']['digest'] == made['digest']
    for frame in demo_frames[:3]:
        answer = server.frame(frame)
        assert answer['bundle'] == made['digest'] and answer['signs']
        boxes = [tuple(s['box']) for s in answer['signs']]
        assert len(set(boxes)) == len(boxes)
        for s in answer['signs']:
            x, y, w, h = s['box']
            assert x >= 0 and y >= 0 and w >= 1 and h >= 1 and 0 <= s['confidence'] <= 1
            assert 0 <= s['class']['index'] < 43
            assert server.get('/v1/crops/' + s['key']).content[:2] == b'\xff\xd8'
    body = {'image': base64.b64encode(demo_frames[0]).decode()}
    assert server.post('/api/labeling-test', body).json()['result'] == 'GOOD'
    shape = server.get('/v2/models/detector').json()['inputs'][0]['shape']
    assert shape == [-1, 3, -1, -1]
    server.wait_drained()


def test_a_classifier_with_numbers_of_each_channel(parts, tmp_path):
    out = tmp_path / 'c.bundle'
    make(parts, out, '--classifier-mean', '123.675,116.28,103.53', '--classifier-scale', '58.395,57.12,57.375', '--decode', 'yolov5')
    info = json.loads(run('bundle', 'show', out, '--json').stdout)['info']['classifier']
    assert info['normalize'] == 'mean_scale'
    assert info['mean'] == [123.675, 116.28, 103.53] and info['scale'] == [58.395, 57.12, 57.375]
    make(parts, out, '--classifier-mean', '127.5', '--decode', 'yolov5')
    info = json.loads(run('bundle', 'show', out, '--json').stdout)['info']['classifier']
    assert info['mean'] == 127.5 and info['scale'] == 255


def test_what_does_not_fit_is_said(parts, tmp_path):
    out = tmp_path / 'no.bundle'
    yolo = ('--decode', 'yolov5')
    assert 'center4' in refusal(parts, out)
    assert 'yolov3' in refusal(parts, out, '--decode', 'yolov3')
    assert 'detector' in refusal(parts, out, *yolo, detector='classic.onnx')
    assert 'classifier' in refusal(parts, out, *yolo, classifier='classic.onnx')
    assert 'classifier' in refusal(parts, out, *yolo, classifier='yolo1.onnx')
    assert 'ONNX' in refusal(parts, out, *yolo, detector='taxonomy.json')
    assert 'missing' in refusal(parts, out, *yolo, detector='nowhere.onnx')
    assert '224' in refusal(parts, out, *yolo, '--size', 224)
    assert '--classifier-mean' in refusal(parts, out, *yolo, '--classifier-mean', '1,2')
    assert '--classifier-scale' in refusal(parts, out, *yolo, '--classifier-scale', '1,x,2')
    assert 'scale' in refusal(parts, out, *yolo, '--classifier-scale', '0')
    assert 'mean_scale' in refusal(parts, out, *yolo, '--classifier-scale', '2', '--normalize', 'unit')
