# SPDX-License-Identifier: Apache-2.0
"""Every message that the program writes is what docs/schemas says of its topic; the original's topics follow ours one to one."""
import hashlib
import json
import re
import signal
import sqlite3
import socket
import subprocess

import jsonschema
import pytest
import requests

from rig import BINARY, ROOT, run, wait_until

SCHEMAS = {p.stem: json.loads(p.read_text()) for p in sorted((ROOT / 'docs' / 'schemas').glob('*.json'))}
TOPICS = ['labels', 'reviews', 'models', 'good_acc_label', 'bad_acc_label', 'parameter']


def check(topic, body):
    """The schema holds, and knows every member: they are open for what later versions add, this version adds none."""
    jsonschema.validate(body, SCHEMAS[topic], cls=jsonschema.Draft202012Validator)
    assert set(body) <= set(SCHEMAS[topic]['properties']), (topic, body)


def messages(topic, *where):
    """Messages of a topic as `signloop topic --json` prints them, checked."""
    got = [json.loads(line) for line in run('topic', topic, '--json', *where).stdout.splitlines()]
    for m in got:
        check(topic, m['body'])
    return got


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def go_round(server, frames):
    """Labels of the model, of votes, of an expert and of no class; a bundle published and rolled back."""
    for i, f in enumerate(frames):
        server.frame(f, device='car7', sequence=f'd{i}')
    server.wait_drained()
    choices = ['not_a_sign', 'unreadable', 'other']
    for i, r in enumerate(server.get('/v1/reviews/next', params={'voter': 'ann', 'n': 50}).json()['reviews']):
        choice = choices[i] if i < len(choices) else r['candidates'][0]['class']['index']
        server.post(f'/v1/reviews/{r["key"]}/votes', {'voter': 'ann', 'vote_id': f'a{i}', 'choice': choice, 'expert': i == 4})
    server.wait_sent()
    server.wait_drained()
    server.post('/v1/datasets', {}, code=201)
    job = server.post('/v1/jobs', {'kind': 'train', 'options': {'steps': 2}, 'publish': True, 'force': True}, code=202).json()
    wait_until(lambda: server.get(f'/v1/jobs/{job["id"]}').json()['state'] == 'done', 120, 'the job')
    server.post('/v1/models/rollback', {})


def label_of(cls):
    return cls.get('name_ko') or cls.get('code') or str(cls['index'])


def test_messages_are_what_their_schemas_say(start_server, demo_frames):
    server = start_server('--reviews-cap', 1, '--frames-audit', 0.2, '--compat-topics', '--listen', f'127.0.0.1:{free_port()}')
    go_round(server, demo_frames)
    got = {t: messages(t, '--data', server.data) for t in TOPICS}
    labels, reviews, models = ([m['body'] for m in got[t]] for t in TOPICS[:3])
    assert {l['source'] for l in labels} >= {'model', 'votes', 'expert'} and {l.get('choice') for l in labels} >= {'not_a_sign', None}
    assert {m['alias'] for m in models} >= {'live'}
    assert all(m['key'] == m['body'].get('key', m['body'].get('alias')) for t in TOPICS[:3] for m in got[t])

    good, bad, parameter = ([m['body'] for m in got[t]] for t in TOPICS[3:])
    assert good == [{'image_rowkey': l['key'], 'label': label_of(l['class'])} for l in labels if l['class']]
    assert all(re.search('[가-힣]', g['label']) for g in good)
    assert bad == [{'image_rowkey': r['key'], 'labels': [{'label': label_of(c), 'accuracy': c['confidence']}
                                                        for c in r['candidates']]} for r in reviews]
    live = [m['digest'] for m in models if m['alias'] == 'live']
    assert len(live) >= 3 and len(parameter) == len(live)
    for p, digest in zip(parameter, live):
        assert hashlib.sha256(requests.get(p['url'], timeout=60).content).hexdigest() == digest
    url = parameter[0]['url']
    assert requests.get(url, headers={'If-None-Match': f'"{live[0]}"'}, timeout=60).status_code == 304
    assert requests.get(url.replace(live[0], '0' * 64), timeout=60).status_code == 404


def test_the_originals_topics_are_empty_unless_asked_for(start_server, demo_frames):
    server = start_server('--reviews-cap', 1)
    for f in demo_frames[:5]:
        server.frame(f)
    server.wait_drained()
    assert messages('labels', '--data', server.data)
    assert not any(messages(t, '--data', server.data) for t in TOPICS[3:])


def test_a_url_that_leads_nowhere_is_refused_at_start(tmp_path):
    p = run('up', '--data', tmp_path / 'd', '--compat-topics', '--log.compat_url', 'http://h/bundle', ok=(2,))
    assert 'log.compat_url' in p.stderr and '{digest}' in p.stderr


def test_a_topic_is_read_in_part_and_followed(start_server, demo_frames):
    server = start_server()
    for f in demo_frames[:10]:
        server.frame(f)
    where = ('--data', server.data)
    every = messages('labels', *where)
    assert len(every) > 4
    assert messages('labels', *where, '--after', f'0:{every[2]["position"]}') == every[3:]
    assert messages('labels', *where, '--after', f'0:{every[0]["position"]}', '--max', 2) == every[1:3]
    lines = run('topic', 'labels', *where).stdout.splitlines()
    assert len(lines) == len(every) and lines[0].startswith(f'0:{every[0]["position"]} 20') and every[0]['key'] in lines[0]
    assert 'partition of 0 to 0' in run('topic', 'labels', *where, '--after', '1:0', ok=(2,)).stderr
    assert 'PARTITION:POSITION' in run('topic', 'labels', *where, '--after', '7', ok=(2,)).stderr
    follow = subprocess.Popen([str(BINARY), 'topic', 'labels', '--json', '--follow', *map(str, where)], stdout=subprocess.PIPE, text=True)
    seen = [json.loads(follow.stdout.readline()) for _ in every]
    n = sum(s['status'] == 'accepted' for f in demo_frames[10:20] for s in server.frame(f)['signs'])
    seen += [json.loads(follow.stdout.readline()) for _ in range(n)]
    follow.send_signal(signal.SIGINT)
    assert follow.wait(30) == 0 and follow.stdout.read() == ''
    follow.stdout.close()
    assert seen == messages('labels', *where)


def test_bytes_that_are_no_text_do_no_harm(start_server):
    server = start_server()
    assert server.stop() == 0
    db = sqlite3.connect(server.data / 'log.db')
    db.execute("INSERT INTO message SELECT no << 40, 0, CAST(x'6bff1b5b' AS TEXT), x'7bff1b0a00' FROM part WHERE topic = 'labels'")
    db.commit()
    db.close()
    where = ('--data', server.data)
    got, = [json.loads(line) for line in run('topic', 'labels', '--json', *where).stdout.splitlines()]
    assert got['key'] == 'k?\x1b[' and got['body'].startswith('{?')
    assert run('topic', 'labels', *where).stdout == '0:0 1970-01-01 00:00:00 k? [ {?   \n'


def test_what_is_no_log_is_said(tmp_path):
    assert 'no such log' in run('topic', 'labels', '--data', tmp_path / 'none', ok=(2,)).stderr
    assert 'kafka' in run('topic', 'labels', '--log', 'nosuch:x', ok=(2,)).stderr


@pytest.mark.parametrize('topic', sorted(SCHEMAS))
def test_examples_of_the_formats_page_are_valid(topic):
    text = (ROOT / 'docs' / 'formats.md').read_text()
    title = 'Dead letters' if topic == 'dead' else f'`{topic}`'
    section = re.search(rf'^### {title}.*?(?=^##)', text, re.M | re.S).group(0)
    shown = [json.loads(b) for b in re.findall(r'^```json\n(.*?)^```$', section, re.M | re.S)]
    assert shown
    for body in shown:
        for name in ('bundle', 'digest'):
            if name in body:
                body[name] = 'ab' * 32
        check(topic, body)


def test_there_is_a_schema_for_every_topic_and_it_is_one():
    assert set(TOPICS) <= set(SCHEMAS)
    for s in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(s)
    assert len({s['title'] for s in SCHEMAS.values()}) == len(SCHEMAS)


def test_options_in_the_stores_page_are_those_of_the_program():
    known = set(re.findall(r'^    (\w+) ', run('help', 'stores').stdout, re.M))
    text = (ROOT / 'docs' / 'stores.md').read_text()
    urls = re.findall(r"(?:kafka|hbase|mongodb|webhdfs)://[^'`\s]+\?([^'`\s]+)", text)
    assert len(urls) > 4
    named = {o.split('=')[0] for u in urls for o in u.split('&')} | set(re.findall(r'`(\w+)=[^`]*`', text))
    assert not named - known - {'name'}, named - known
