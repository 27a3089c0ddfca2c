# SPDX-License-Identifier: Apache-2.0
"""The shipped bundle on real pictures, and the trainer on real crops: the data sets' held-back parts.

The data sets are no part of the project: SIGNLOOP_DATASETS names their folder, else it is ../shared/data. What is absent is
skipped. Quality is asserted here, times are not (see bench/).
"""
import base64
import functools
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import requests
from PIL import Image

from rig import BINARY, BUILD, BUNDLE, ROOT, run

sys.path.insert(0, str(ROOT / 'tests' / 'golden'))
import onnx_models  # noqa: E402

DATA = pathlib.Path(os.environ.get('SIGNLOOP_DATASETS', ROOT.parent / 'shared' / 'data'))
GTSDB, GTSRB = DATA / 'gtsdb-train.tar.gz', DATA / 'gtsrb-train.tar.gz'
TOOL = BUILD / 'tests' / 'golden' / 'nn_tool'
CARD, README = ROOT / 'models' / 'signs-de.md', ROOT / 'README.md'
SCENES = 3
LEAST_SIDE = 32  # of every sign in the chosen scenes: of smaller ones the card promises less

needs_scenes = pytest.mark.skipif(not GTSDB.is_file(), reason=f'no {GTSDB.name} in {DATA}; set SIGNLOOP_DATASETS')
needs_crops = pytest.mark.skipif(not GTSRB.is_file(), reason=f'no {GTSRB.name} in {DATA}; set SIGNLOOP_DATASETS')


@functools.cache
def measured(kind):
    """What `signloop eval` says of the shipped bundle on the part that it was not trained on."""
    source = f'gtsrb:{GTSRB}' if kind == 'classifier' else f'gtsdb:{GTSDB}'
    return json.loads(run('eval', kind, '--bundle', BUNDLE, '--data', source, '--part', 'val', '--workers', 2, '--json').stdout)


@functools.cache
def shown():
    return json.loads(run('bundle', 'show', BUNDLE, '--json').stdout)


@functools.cache
def taxonomy():
    return json.loads((ROOT / 'taxonomy' / 'de.json').read_text())['classes']


class Scene:
    """A road scene with its labelled signs: .jpeg, .signs [(box, class)]."""

    def __init__(self, name, jpeg, signs):
        self.name, self.jpeg, self.signs = name, jpeg, signs
        self.image = Image.open(io.BytesIO(jpeg)).convert('RGB')

    def png(self):
        out = io.BytesIO()
        self.image.save(out, 'PNG', compress_level=1)
        return out.getvalue()

    def json(self):
        return {'image': base64.b64encode(self.jpeg).decode()}

    def check(self, found):
        """found: [(box, class)]; each labelled sign must be among them."""
        for box, cls in self.signs:
            assert any(iou(box, b) >= 0.5 and cls == c for b, c in found), (self.name, box, cls, found)


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """The first, the middle and the last held-back scene whose signs are all of a fair size."""
    if not GTSDB.is_file():
        pytest.skip(f'no {GTSDB.name} in {DATA}')
    folder = tmp_path_factory.mktemp('scenes')
    run('eval', 'detector', '--bundle', BUNDLE, '--data', f'gtsdb:{GTSDB}', '--part', 'val', '--workers', 2, '--list', folder / 'names')
    held_back = (folder / 'names').read_text().split()
    with tarfile.open(GTSDB) as tar:
        signs = {name: [] for name in held_back}
        for line in tar.extractfile('gt.txt').read().decode().split():
            name, left, top, right, bottom, cls = line.split(';')
            box = (int(left), int(top), int(right) - int(left) + 1, int(bottom) - int(top) + 1)
            signs.get(name.replace('.ppm', '.jpg'), []).append((box, int(cls)))
        fair = [n for n in held_back if signs[n] and all(max(box[2:]) >= LEAST_SIDE for box, _ in signs[n])]
        assert len(fair) >= SCENES
        chosen = [fair[0], fair[len(fair) // 2], fair[-1]]
        for name in chosen:
            (folder / name).write_bytes(tar.extractfile(name).read())
    return [Scene(n, (folder / n).read_bytes(), signs[n]) for n in chosen]


def signs_of(answer):
    return [(s['box'], s['class']['index']) for s in answer['signs']]


@needs_scenes
def test_a_scene_comes_back_with_its_signs_in_every_form(start_server, scenes):
    server = start_server()
    first = scenes[0]
    for scene in scenes:
        scene.check(signs_of(server.frame(scene.jpeg)))
    plain = server.frame(first.jpeg)['signs']
    forms = {
        'multipart': dict(files={'image': ('scene.jpg', first.jpeg, 'image/jpeg')}),
        'JSON': dict(json=first.json()),
    }
    for form, body in forms.items():
        again = server.post('/v1/frames', **body).json()['signs']
        assert [(s['key'], s['box'], s['class'], s['status']) for s in again] == \
            [(s['key'], s['box'], s['class'], s['status']) for s in plain], form
        assert [s['confidence'] for s in again] == pytest.approx([s['confidence'] for s in plain], abs=1e-4)
    png = server.post('/v1/frames', data=first.png(), headers={'Content-Type': 'image/png'}).json()
    first.check(signs_of(png))
    assert len(png['signs']) == len(plain)
    for s in plain:  # other bytes, so other keys; the same pixels, so the same signs
        assert any(iou(s['box'], p['box']) > 0.9 and s['class'] == p['class'] for p in png['signs'])

    by_key = {s['key']: taxonomy()[s['class']['index']]['ko'] for s in plain}
    for method in (requests.get, requests.post):
        answer = method(server.url + '/api/labeling', json=first.json(), timeout=60)
        assert answer.status_code == 200
        assert {s['image_rowkey']: s['label'] for s in answer.json()['labeledImages']} == by_key
    for key in by_key:
        crop = Image.open(io.BytesIO(server.get('/v1/crops/' + key).content))
        assert crop.size == (64, 64)


@needs_scenes
def test_labeling_test_answers_and_stores_nothing(start_server, scenes):
    server = start_server()
    scene = scenes[1]
    for method in (requests.get, requests.post):
        answer = method(server.url + '/api/labeling-test', json=scene.json(), timeout=60)
        assert answer.status_code == 200 and answer.json()['result'] == 'GOOD'
        images = answer.json()['labeledImages']
        assert len(images) >= len(scene.signs)
        for image in images:
            sure = [x['accuracy'] for x in image['labels']]
            assert sure == sorted(sure, reverse=True) and sum(sure) <= 1 + 1e-3
        best = sorted(i['labels'][0]['label'] for i in images)
        for _, cls in scene.signs:
            assert taxonomy()[cls]['ko'] in best
        for image in images:
            server.get('/v1/crops/' + image['image_rowkey'], code=404)
            server.get('/v1/reviews/' + image['image_rowkey'], code=404)
    assert server.get('/v1/labels').json()['labels'] == []
    stored = server.frame(scene.jpeg)
    scene.check(signs_of(stored))
    assert {s['key'] for s in stored['signs']} == {i['image_rowkey'] for i in images}
    for s in stored['signs']:
        server.get('/v1/crops/' + s['key'])


def classifier_input(scene, box, info):
    """1.15 x the box, standardised: what the bundle's classifier is given, cut by another library."""
    x, y, w, h = box
    k, side = info['context'], info['size']
    x0, y0 = max(x + w * (1 - k) / 2, 0), max(y + h * (1 - k) / 2, 0)
    x1, y1 = min(x + w * (1 + k) / 2, scene.image.width), min(y + h * (1 + k) / 2, scene.image.height)
    crop = scene.image.resize((side, side), Image.Resampling.BILINEAR, (x0, y0, x1, y1))
    planes = np.asarray(crop, np.float32).transpose(2, 0, 1)
    return (planes - planes.mean()) / (planes.std() + 8)


def ours(file, x, tmp_path):
    x.astype('<f4').tofile(tmp_path / 'in.f32')
    done = subprocess.run([TOOL, 'run', file, 'dnnl', 'f32', tmp_path / 'in.f32', ','.join(map(str, x.shape)), tmp_path / 'out.f32'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.fromfile(tmp_path / 'out.f32', '<f4')


@needs_scenes
def test_the_nets_say_the_same_by_protocol_and_in_onnxruntime(start_server, scenes, tmp_path):
    run('bundle', 'unpack', BUNDLE, tmp_path / 'parts')
    info = json.loads((tmp_path / 'parts' / 'bundle.json').read_text())
    signs = [(s, box, cls) for s in scenes for box, cls in s.signs]
    x = np.stack([classifier_input(s, box, info['classifier']) for s, box, _ in signs]).astype(np.float32)
    classes = [cls for _, _, cls in signs]

    file = tmp_path / 'parts' / 'classifier.onnx'
    theirs = onnx_models.runtime(file.read_bytes(), x)[0]
    assert theirs.argmax(1).tolist() == classes
    assert np.abs(ours(file, x, tmp_path).reshape(theirs.shape) - theirs).max() <= 1e-4

    server = start_server()
    meta = server.get('/v2/models/classifier').json()
    tensor = {'name': meta['inputs'][0]['name'], 'shape': list(x.shape), 'datatype': 'FP32', 'data': x.ravel().tolist()}
    output = server.post('/v2/models/classifier/infer', {'id': 'real', 'inputs': [tensor]}).json()['outputs'][0]
    logits = np.array(output['data'], np.float32).reshape(output['shape'])
    assert logits.argmax(1).tolist() == classes
    # The server may run bf16, whose numbers have 8 bits.
    assert np.abs(logits - theirs).max() <= 0.03 * np.abs(theirs).max()

    d = info['detector']
    pixels = np.asarray(scenes[0].image, np.float32).transpose(2, 0, 1)[None]
    pad = [-(-n // d['stride']) * d['stride'] - n for n in pixels.shape[2:]]
    frame = np.pad((pixels - d['mean']) / d['scale'], ((0, 0), (0, 0), (0, pad[0]), (0, pad[1]))).astype(np.float32)
    file = tmp_path / 'parts' / 'detector.onnx'
    theirs = onnx_models.runtime(file.read_bytes(), frame)[0]
    assert np.abs(ours(file, frame, tmp_path).reshape(theirs.shape) - theirs).max() <= 1e-4 * max(1, np.abs(theirs).max())


@needs_crops
def test_the_classifier_is_as_good_as_promised():
    got = measured('classifier')
    assert got['n'] > 5000 and got['accuracy'] >= 0.995 and got['ece'] <= 0.01
    net = shown()['classifier']
    assert net['parameters'] <= 500_000 and net['multiply_adds'] <= 12e6


@needs_scenes
def test_the_detector_is_as_good_as_promised():
    got = measured('detector')
    assert got['boxes'] > 100 and got['map50'] >= 0.95
    assert 2 * shown()['detector']['multiply_adds'] <= 5e9


@needs_scenes
def test_the_whole_bundle_finds_and_names(tmp_path):
    got = measured('bundle')
    assert got['map50'] == pytest.approx(measured('detector')['map50'], abs=0.01)
    assert got['scenes'] == measured('detector')['scenes'] and got['boxes'] == measured('detector')['boxes']
    assert got['class_accuracy'] >= 0.97
    assert got['end_to_end']['precision'] >= 0.9 and got['end_to_end']['recall'] >= 0.85
    assert got['accepted']['n'] + got['review']['n'] == got['signs']
    assert got['accepted']['right'] >= 0.95 * got['accepted']['n']
    assert all(got['ms'][stage] > 0 for stage in ('decode', 'detect', 'crop', 'classify', 'total'))


def says(text, pattern, *values):
    """The figures that the pattern finds in a text are the values, but for two units of the last digit that is shown: another
    processor rounds differently inside the nets, and one without bf16 computes in f32."""
    found = re.search(pattern, text)
    assert found, f'no text like {pattern}'
    for shown_figure, value in zip(found.groups(), values, strict=True):
        digits = shown_figure.replace(',', '')
        unit = 10.0 ** -len(digits.partition('.')[2])
        assert abs(float(digits) - value) <= 2 * unit * (1 + 1e-9), f'{pattern}: {shown_figure} is written, {value} is measured'


@needs_scenes
@needs_crops
def test_the_documents_say_what_is_measured():
    c, d, nets = measured('classifier'), measured('detector'), shown()
    cls, det = nets['classifier'], nets['detector']
    card, readme = CARD.read_text(), README.read_text()
    assert nets['card'] == card, 'the card beside the bundle is not the one in it'
    says(card, r'\| parameters, .* \| ([\d,]+) \| ([\d,]+) \|', det['parameters'], cls['parameters'])
    says(card, r'([\d.]+) G a scene of 1376x800 \(([\d.]+) GFLOPs\) \| ([\d.]+) M a crop', det['multiply_adds'] / 1e9,
         2 * det['multiply_adds'] / 1e9, cls['multiply_adds'] / 1e6)
    says(card, r'\| (\d+) other scenes of that range.*\| ([\d,]+) crops of physical signs', d['scenes'], c['n'])
    says(card, r'AP@.5 all-point ([\d.]+), 11-point ([\d.]+); at the best-F1 threshold precision ([\d.]+), recall ([\d.]+)',
         d['map50'], d['ap11'], d['precision'], d['recall'])
    says(card, r'accuracy ([\d.]+) %, mean class recall ([\d.]+) %, expected calibration error ([\d.]+) %', 100 * c['accuracy'],
         100 * c['mean_recall'], 100 * c['ece'])
    sizes = d['recall_by_size']
    says(card, r'16-32 px (\d+)/(\d+), 32-64 px (\d+)/(\d+), over 64 px (\d+)/(\d+)',
         *(sizes[s][v] for s in ('16-32', '32-64', '64-') for v in ('found', 'boxes')))
    b = measured('bundle')
    says(card, r'(\d+) of (\d+) signs found, ([\d.]+) % of\s+them named right; end to end precision ([\d.]+), recall ([\d.]+)',
         b['found'], b['boxes'], 100 * b['class_accuracy'], b['end_to_end']['precision'], b['end_to_end']['recall'])
    says(card, r'of (\d+) accepted answers (\d+) are right, (\d+) go to people', b['accepted']['n'], b['accepted']['right'],
         b['review']['n'])
    says(readme, r'classifier, ([\d,]+) parameters, ([\d.]+) M multiply-adds \| ([\d.]+) % accuracy \| ([\d,]+) GTSRB crops',
         cls['parameters'], cls['multiply_adds'] / 1e6, 100 * c['accuracy'], c['n'])
    says(readme, r'detector, ([\d,]+) parameters, ([\d.]+) GFLOPs a scene \| ([\d.]+) AP@.5 \| (\d+) GTSDB scenes', det['parameters'],
         2 * det['multiply_adds'] / 1e9, d['map50'], d['scenes'])


SHORT = ('train', 'classifier', '--data', f'gtsrb:{GTSRB}', '--epochs', '1', '--limit', '6000', '--workers', '2')


@needs_crops
def test_a_short_training_learns_and_a_stopped_one_goes_on_to_the_same_net(tmp_path):
    whole, parted = tmp_path / 'whole.onnx', tmp_path / 'parted.onnx'
    info = json.loads(run(*SHORT, '--out', whole, '--json').stdout.splitlines()[-1])
    assert info['validation']['n'] > 500
    assert info['validation']['accuracy'] >= 0.12  # chance is 0.023, always the most frequent class 0.06

    p = subprocess.Popen([str(BINARY), *SHORT, '--out', str(parted), '--progress'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    first = json.loads(p.stdout.readline())
    p.send_signal(signal.SIGTERM)
    rest, errors = p.communicate(timeout=120)
    assert p.returncode != 0 and not parted.exists(), errors
    assert (tmp_path / 'parted.onnx.checkpoint').is_file()
    assert first['step'] < first['steps'] == info['steps']

    lines = [json.loads(line) for line in run(*SHORT, '--out', parted, '--resume', '--progress').stdout.splitlines() if line.startswith('{')]
    assert lines[0]['step'] >= first['step'] and lines[-1]['step'] == info['steps']
    assert parted.read_bytes() == whole.read_bytes()
    assert not (tmp_path / 'parted.onnx.checkpoint').exists()
    score = json.loads(run('eval', 'classifier', '--model', parted, '--data', f'gtsrb:{GTSRB}', '--limit', 6000, '--part', 'val',
                           '--json').stdout)
    assert score['n'] == info['validation']['n']
    assert score['accuracy'] == pytest.approx(info['validation']['accuracy'], abs=0.02)
