# SPDX-License-Identifier: Apache-2.0
"""The documents say what is: routes, formats, functions, metrics, settings, commands, and the README's examples."""
import concurrent.futures as cf
import fnmatch
import importlib.util
import json
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading

import pytest
import requests

from rig import ROOT, fsck, run, wait_until

DOCS = sorted((ROOT / 'docs').glob('*.md')) + sorted(ROOT.glob('*.md')) + [ROOT / 'bench' / 'README.md']
API = ROOT / 'docs' / 'api.md'
FORMATS = ROOT / 'docs' / 'formats.md'
METHODS = {'get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'}
TYPES = {'string', 'number', 'integer', 'boolean', 'object', 'array', 'null'}
# What clients were promised from the first day. Additions are free; none of these may go.
PROMISED = {
    ('get', '/v2/health/live'), ('get', '/v2/health/ready'), ('get', '/v2'), ('get', '/v2/models/{}'),
    ('post', '/v2/models/{}/infer'), ('post', '/v1/frames'), ('get', '/v1/crops/{}'), ('get', '/v1/reviews/next'),
    ('post', '/v1/reviews/{}/votes'), ('get', '/v1/reviews/{}'), ('get', '/v1/labels'), ('post', '/v1/datasets'),
    ('get', '/v1/datasets'), ('get', '/v1/datasets/{}'), ('post', '/v1/jobs'), ('get', '/v1/jobs'), ('get', '/v1/jobs/{}'),
    ('delete', '/v1/jobs/{}'), ('get', '/v1/models'), ('post', '/v1/models/{}/promote'), ('post', '/v1/models/rollback'),
    ('get', '/v1/models/log'), ('get', '/metrics'), ('get', '/v1/events'), ('get', '/'), ('get', '/label'), ('get', '/expert'),
    ('get', '/api/labeling'), ('post', '/api/labeling'), ('get', '/api/labeling-test'), ('post', '/api/labeling-test'),
    ('get', '/api/modelupdate'), ('get', '/labeling/image'), ('post', '/labeling/image'), ('post', '/labeling/test'),
    ('get', '/model/training'), ('get', '/model/training-test'), ('get', '/model/parameter'),
}


def blocks(path, language):
    return re.findall(rf'^```{language}\n(.*?)^```$', path.read_text(), re.M | re.S)


def api_doc():
    spec = importlib.util.spec_from_file_location('api_doc', ROOT / 'tools' / 'api_doc.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- routes ----

def test_api_page_is_what_the_server_says(start_server):
    made = api_doc().page(start_server().get('/openapi.json').json())
    assert made == API.read_text(), 'run: python3 tools/api_doc.py http://HOST:PORT > docs/api.md'


def check_schema(s, where):
    assert isinstance(s, dict), where
    types = s.get('type', [])
    assert set([types] if isinstance(types, str) else types) <= TYPES, (where, types)
    assert isinstance(s.get('required', []), list) and isinstance(s.get('enum', []), list), where
    if 'properties' in s:
        assert set(s.get('required', [])) <= set(s['properties']), (where, 'requires what it does not have')
        for name, inner in s['properties'].items():
            check_schema(inner, f'{where}.{name}')
    for name in ('items', 'additionalProperties'):
        if name in s:
            check_schema(s[name], f'{where}.{name}')


def check_content(content, where):
    assert content, where
    for kind, media in content.items():
        assert re.fullmatch(r'[a-z]+/[a-z0-9.+-]+', kind), (where, kind)
        check_schema(media.get('schema', {}), f'{where} {kind}')


def check_operation(op, path, where):
    assert op['summary'] and len(op['tags']) == 1, where
    named = {p['name'] for p in op['parameters'] if p['in'] == 'path'}
    assert named == set(re.findall(r'{(\w+)}', path)), where
    assert len({(p['in'], p['name']) for p in op['parameters']}) == len(op['parameters']), where
    for p in op['parameters']:
        assert p['in'] in ('path', 'query') and (p['in'] != 'path' or p['required'] is True), where
        assert p['in'] == 'path' or p['description'], (where, p['name'])
        check_schema(p['schema'], where)
    if 'requestBody' in op:
        check_content(op['requestBody']['content'], where)
    good = [c for c in op['responses'] if c.isdigit() and int(c) < 400]
    assert (len(good) == 1 or good == ['200', '202']) and 'default' in op['responses'], where
    for code, r in op['responses'].items():
        assert code == 'default' or 200 <= int(code) <= 599, where
        assert '$ref' in r or r['description'], where
        if 'content' in r:
            check_content(r['content'], f'{where} {code}')


def test_openapi_is_whole_and_holds_every_promised_route(start_server):
    doc = start_server().get('/openapi.json').json()
    assert doc['openapi'].startswith('3.1.') and doc['info']['title'] and doc['info']['version']
    assert set(doc) <= {'openapi', 'info', 'paths', 'components'}
    for ref in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(doc)):
        at = doc
        for part in ref.split('/'):
            assert part in at, ref
            at = at[part]
    here = set()
    for path, item in doc['paths'].items():
        assert path.startswith('/') and set(item) <= METHODS, path
        for method, op in item.items():
            check_operation(op, path, f'{method} {path}')
            here.add((method, re.sub(r'{\w+}', '{}', path)))
    assert len({p for _, p in here}) == len(doc['paths']), 'two paths that differ in the names of parameters only'
    assert not PROMISED - here


def test_status_codes_are_those_of_the_page(start_server, demo_frames):
    """A few answers of each kind, against what the page says of the route."""
    server = start_server()
    paths = server.get('/openapi.json').json()['paths']
    key = next(s['key'] for f in demo_frames for s in server.frame(f)['signs'])
    asked = [('get', '/v1/crops/{key}', f'/v1/crops/{key}', {}), ('get', '/v1/crops/{key}', '/v1/crops/x', {}),
             ('get', '/v1/reviews/next', '/v1/reviews/next', {}), ('get', '/v1/jobs/{id}', '/v1/jobs/j99999', {}),
             ('post', '/v1/frames', '/v1/frames', {'data': b'no picture', 'headers': {'Content-Type': 'image/jpeg'}}),
             ('post', '/v1/frames', '/v1/frames', {'data': b'x', 'headers': {'Content-Type': 'text/plain'}}),
             ('post', '/v1/jobs', '/v1/jobs', {'json': {'kind': 'dance'}}),
             ('post', '/v1/jobs', '/v1/jobs', {'json': {'kind': 'train'}}),
             ('post', '/v1/models/rollback', '/v1/models/rollback', {'json': {}}),
             ('post', '/v1/reviews/{key}/votes', f'/v1/reviews/{key}/votes', {'data': 'x' * 70000}),
             ('get', '/model/training-test', '/model/training-test', {})]
    for method, path, url, kw in asked:
        r = requests.request(method, server.url + url, timeout=60, allow_redirects=False, **kw)
        assert str(r.status_code) in paths[path][method]['responses'], (method, url, r.status_code, r.text)


# ---- formats ----

@pytest.mark.parametrize('path', DOCS, ids=lambda p: p.name)
def test_json_in_documents_is_json(path):
    for text in blocks(path, 'json'):
        json.loads(text)


def example(heading):
    """The first JSON block of the section of docs/formats.md with this heading."""
    text = FORMATS.read_text()
    at = re.search(rf'^#+ {re.escape(heading)}.*?^```json\n(.*?)^```$', text, re.M | re.S)
    return json.loads(at.group(1))


def all_of(values):
    """Objects as one that has the members of all; anything else as its first."""
    values = list(values)
    return {k: v for o in values for k, v in o.items()} if all(isinstance(v, dict) for v in values) else values[0]


def missing(real, shown, where=''):
    """Members of real that shown has not; objects whose members are names of things (digests, codes) are compared by all."""
    if isinstance(real, dict) and isinstance(shown, dict):
        out = []
        free = where.rsplit('.', 1)[-1] in ('classes', 'bundles', 'by_class', 'through', 'sources', 'options')
        for name, v in real.items():
            if not free and name not in shown:
                out.append(f'{where}.{name}')
            elif shown:
                out += missing(v, shown[name] if not free else all_of(shown.values()), f'{where}.{name}')
        return out
    if isinstance(real, list) and isinstance(shown, list) and real and shown:
        return [m for r in real for m in missing(r, shown[0], where + '[]')]
    return []


def stored(server):
    """One of each stored thing of a server that has gone through the circle: (heading in the document, what is stored)."""
    art = server.data / 'artifacts'
    log = sqlite3.connect(f'file:{server.data}/log.db?mode=ro', uri=True)
    rows = log.execute('SELECT p.topic, m.body FROM message m JOIN part p ON p.no = m.id >> 40').fetchall()
    log.close()
    for topic, body in rows:
        yield f'`{topic}`', json.loads(body)
    for heading, pattern in (("A segment's entry", 'curate/labels/p0/*.json'), ('A version', 'datasets/*.json'),
                             ("An alias' log", 'aliases/*/*.json'), ('An evaluation', 'evaluations/*.json')):
        found = list(art.glob(pattern))
        assert found, pattern
        yield from ((heading, json.loads(p.read_text())) for p in found)
    for tar in list(art.glob('segments/*.tar')) + list(art.glob('shards/*.tar')):
        with tarfile.open(tar) as t:
            yield from (('Segments and shards', json.loads(t.extractfile(m).read())) for m in t if m.name.endswith('.json'))
    with tarfile.open(next(art.glob('bundles/*.bundle'))) as t:
        assert [m.name for m in t][:4] == ['bundle.json', 'detector.onnx', 'classifier.onnx', 'taxonomy.json']
        yield 'Bundles', json.loads(t.extractfile('bundle.json').read())
    yield 'Jobs', json.loads((server.data / 'jobs' / 'j00001' / 'job.json').read_text())
    yield 'Training', json.loads((server.data / 'jobs' / 'j00001' / 'classifier.onnx.json').read_text())


def test_what_is_stored_is_what_the_formats_page_shows(start_server, demo_frames):
    server = start_server('--reviews-cap', '1')
    keys = [s['key'] for i, f in enumerate(demo_frames)
            for s in server.frame(f, device='car7', frame=f'{i}', sequence=f'd{i}', lat=1, lon=2, heading=3)['signs']]
    server.wait_drained()
    for i, r in enumerate(server.get('/v1/reviews/next', params={'voter': 'ann', 'n': 50}).json()['reviews']):
        choice = 'not_a_sign' if i == 0 else r['candidates'][0]['class']['index']
        server.post(f'/v1/reviews/{r["key"]}/votes', {'voter': 'ann', 'vote_id': f'a{i}', 'choice': choice})
    server.wait_sent()
    server.wait_drained()
    server.post('/v1/datasets', {'note': 'n'}, code=201)
    job = server.post('/v1/jobs', {'kind': 'train', 'options': {'steps': 2}, 'by': 'ann', 'note': 'x'}, code=202).json()
    wait_until(lambda: server.get(f'/v1/jobs/{job["id"]}').json()['state'] == 'done', 120, 'the job')
    meta = [server.get(f'/v1/crops/{k}', params={'meta': 1}).json() for k in keys[:20]]
    seen = {}
    for heading, real in [('Crops', m) for m in meta] + list(stored(server)):
        seen[heading] = seen.get(heading, 0) + 1
        shown = example(heading)
        if heading == '`labels`':  # three examples: of a model, of votes, of no class
            shown = {**shown, 'choice': '', 'class': {'index': 0, 'code': '', 'name': '', 'name_ko': ''}}
        if heading == 'Segments and shards':
            shown = {**shown, 'choice': '', 'class': {'index': 0, 'code': '', 'name': '', 'name_ko': ''}}
        assert real['v'] == 1 and not missing(real, shown, heading), (heading, missing(real, shown, heading), real)
    assert {'Crops', '`labels`', '`reviews`', '`models`', 'Jobs', 'Bundles', 'An evaluation'} <= set(seen)


def test_tables_of_the_files_are_those_of_the_formats_page(start_server):
    server = start_server()
    for name, number in (('log', 0x736c6c67), ('crops', 0x736c6372), ('reviews', 0x736c7276)):
        db = sqlite3.connect(f'file:{server.data}/{name}.db?mode=ro', uri=True)
        assert db.execute('PRAGMA application_id').fetchone() == (number,) and db.execute('PRAGMA user_version').fetchone() == (1,)
        section = re.search(rf'^`{name}\.db`, application_id 0x{number:x}:\n(.*?)\n\n', FORMATS.read_text(), re.M | re.S).group(1)
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"):
            row = next((line for line in section.splitlines() if f'`{table}`' in line.split('|')[1]), None)
            assert row, f'{name}.db: {table} is not described'
            columns = [c[1] for c in db.execute(f'PRAGMA table_info({table})')]
            if table in ('crop', 'message', 'review', 'line', 'status', 'position', 'lease', 'outbox', 'part', 'committed'):
                assert [c for c in columns if f'`{c}`' not in row] == [], (table, columns)
        db.close()


# ---- names ----

def test_functions_named_in_the_architecture_exist():
    text = (ROOT / 'docs' / 'architecture.md').read_text()
    named = re.findall(r'`([\w/]+\.c):(\w+)\(\)`', text)
    assert len(named) > 40
    for path, function in named:
        source = (ROOT / 'src' / path).read_text()
        assert re.search(rf'^[a-z][^\n;]*\b{function}\(', source, re.M), f'{path} has no {function}()'
    for path in re.findall(r'`((?:src|web|taxonomy|models|tools)/[\w./]*)`', text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r'`([a-z]+/[\w/]+\.c)`', text):
        assert (ROOT / 'src' / path).is_file(), path


def sources():
    return ''.join(p.read_text() for p in (ROOT / 'src').rglob('*.[ch]'))


def test_metrics_named_in_the_documents_exist():
    source = sources()
    for path in DOCS:
        for name, label, value in re.findall(r'`(signloop_\w+)(?:\{(\w+)="([^"]*)"\})?', path.read_text()):
            assert f'"{name}"' in source, f'{path.name}: {name}'
            assert not label or f'{label}=\\"{value}\\"' in source or f'"{value}"' in source, f'{path.name}: {name} {label}={value}'


def test_settings_and_commands_named_in_the_documents_exist():
    settings = set(re.findall(r'^([a-z_.]+) = ', run('help', 'config').stdout, re.M))
    rooms = {s.split('.')[0] for s in settings if '.' in s}
    commands = set(re.findall(r'^  (\w+) +\S', run('help').stdout, re.M))
    for path in DOCS:
        text = path.read_text()
        for name in re.findall(r'`(?:--)?((?:%s)\.[a-z_]+)(?: [^`]*)?`' % '|'.join(rooms), text):
            assert name in settings or (ROOT / 'src').glob(f'**/{name}') and name.endswith(('.c', '.h', '.db', '.json', '.dead')), \
                f'{path.name}: {name}'
        for name in re.findall(r'`signloop (\w+)', text):
            assert name in commands, f'{path.name}: signloop {name}'


def test_contents_of_the_data_folder_are_those_of_the_operations_page(start_server, demo_frames):
    server = start_server()
    server.frame(demo_frames[0])
    text = (ROOT / 'docs' / 'operations.md').read_text()
    table = text.split('| in the folder | what |')[1].split('\n\n')[0]
    patterns = [n.rstrip('/') for row in table.splitlines()[2:] for n in re.findall(r'`([^`]+)`', row.split('|')[1])]
    here = {p.name for p in server.data.iterdir()}
    assert not {n for n in here if not any(fnmatch.fnmatch(n, p) for p in patterns)}
    assert not {p for p in patterns if not any(fnmatch.fnmatch(n, p) for n in here)}
    assert server.stop() == 0


def test_links_between_documents_lead_somewhere():
    for path in DOCS:
        for link in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', path.read_text()):
            if not link.startswith('http'):
                assert (path.parent / link).exists(), f'{path.name}: {link}'


def test_texts_that_the_operations_page_quotes_are_in_the_program():
    """The left column of the table of troubles: what stands in back-quotes is what the program says."""
    text = (ROOT / 'docs' / 'operations.md').read_text()
    table = text.split('| you see | why | do |')[1].split('\n## ')[0]
    source = re.sub(r'"\s*\n\s*"', '', sources())
    for line in table.splitlines()[2:]:
        for quoted in re.findall(r'`([^`]+)`', line.split('|')[1] if '|' in line else ''):
            for piece in re.split(r'\bDIR\b|\b[NM]\b|\(signloop up\)|\.\.\.|\b10\b|process |rollout: |\blive\b', quoted):
                piece = piece.strip(' :')
                assert not piece or piece in source or piece.startswith('/'), f'{quoted}: {piece!r}'


# ---- examples ----

def test_examples_of_the_readme_run(start_server, demo_frames, tmp_path):
    server = start_server('--reviews-cap', '1')
    (tmp_path / 'road.jpg').write_bytes(demo_frames[0])
    for f in demo_frames:
        server.frame(f)
    server.wait_drained()
    wait_until(lambda: server.get('/v1/status').json()['dataset']['rows'] > 0, 30, 'curate')
    readme = ROOT / 'README.md'
    shell = [b for b in blocks(readme, 'sh') if 'curl' in b]
    assert len(shell) >= 2
    fixed = '\n'.join(shell).replace('http://127.0.0.1:8000', server.url).replace('curl ', 'curl -sS --fail-with-body -w "\\n" ')
    p = subprocess.run(['bash', '-euo', 'pipefail', '-c', fixed], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert p.returncode == 0, f'{fixed}\n{p.stdout}\n{p.stderr}'
    answers = [json.loads(line) for line in p.stdout.splitlines() if line]
    assert len(answers) == fixed.count('curl -sS')
    want = json.loads(blocks(readme, 'json')[0])
    assert set(answers[0]) == set(want) and set(answers[0]['timing_ms']) == set(want['timing_ms'])
    assert set(answers[0]['signs'][0]) == set(want['signs'][0])
    for code in blocks(readme, 'python'):
        p = subprocess.run([sys.executable, '-c', code.replace('http://127.0.0.1:8000', server.url)], capture_output=True, text=True,
                           timeout=120)
        assert p.returncode == 0, p.stderr
        assert "'state': 'decided'" in p.stdout and "'labels'" in p.stdout


def test_a_copy_made_while_the_process_is_held_is_whole(start_server, demo_frames, tmp_path):
    """The third way of the operations page: under load, three times."""
    assert '`kill -STOP PID; cp -a DIR COPY; kill -CONT PID`' in (ROOT / 'docs' / 'operations.md').read_text()
    server = start_server('--reviews-cap', '1', '--curate.linger_ms', '10')
    ending = threading.Event()

    def work():
        for n in range(100000):
            if ending.is_set():
                return
            server.frame(demo_frames[n % len(demo_frames)] + n.to_bytes(4, 'big'), device='car1')  # a new frame each time
            for r in server.get('/v1/reviews/next', params={'voter': 'v', 'n': 5}).json()['reviews']:
                server.post(f'/v1/reviews/{r["key"]}/votes', {'voter': 'v', 'vote_id': r['key'], 'choice': 'other'})

    with cf.ThreadPoolExecutor(1) as pool:
        load = pool.submit(work)
        try:
            for i in range(3):
                rows = server.get('/v1/status').json()['dataset']['rows']
                wait_until(lambda: server.get('/v1/status').json()['dataset']['rows'] > rows + 5, 60, 'more segments')
                server.process.send_signal(signal.SIGSTOP)
                subprocess.run(['cp', '-a', server.data, tmp_path / f'copy{i}'], check=True)
                server.process.send_signal(signal.SIGCONT)
        finally:
            server.process.send_signal(signal.SIGCONT)
            ending.set()
        load.result()
    for i in range(3):
        fsck(tmp_path / f'copy{i}', '--all')
