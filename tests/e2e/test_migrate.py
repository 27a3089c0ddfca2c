# SPDX-License-Identifier: Apache-2.0
"""Everything moved to other stores: whole, live, killed, damaged, refused, and back again; the loop goes on after it."""
import json
import random
import signal
import sqlite3
import subprocess
import threading

import pytest

from moving import FLAGS, STORES, check_goes_on, digests, migrate, source, urls, vote_lines, words, world  # noqa: F401
from rig import BINARY, Server, Voter, fsck, run, send_all, wait_until


def test_all_of_it_and_the_loop_goes_on(start_server, source, tmp_path, demo_frames):
    plan = migrate(source, tmp_path / 'new', '--dry-run')
    assert all(v['copied'] == 0 and v['items'] > v['there'] == 0 for v in plan['stores'].values())
    got = migrate(source, tmp_path / 'new')
    assert got['ok'] and got['final'] and got['compared'] and got['fsck']['ok'] and not got['findings']
    assert set(got['stores']) == set(STORES)
    assert all(v['copied'] == v['items'] for v in got['stores'].values())
    lines = vote_lines(source)
    assert lines and vote_lines(tmp_path / 'new') == lines
    again = migrate(source, tmp_path / 'new')
    assert digests(again) == digests(got) and not any(v['copied'] for v in again['stores'].values())
    check_goes_on(start_server, 'new', demo_frames[30:])
    fsck(tmp_path / 'new', '--all')
    back = migrate(tmp_path / 'new', tmp_path / 'back')
    assert back['ok'] and back['stores']['crops']['items'] > got['stores']['crops']['items']
    fsck(tmp_path / 'back', '--all')


def test_a_target_that_went_on_is_not_overwritten(source, tmp_path, demo_frames):
    migrate(source, tmp_path / 'new')
    s = Server(tmp_path / 'new', *FLAGS)
    send_all(s, demo_frames[30:])
    s.wait_drained()
    assert s.stop() == 0
    p = run('migrate', *words(source, tmp_path / 'new'), ok=(1,))
    assert 'the target has' in p.stderr and len(p.stderr.strip().splitlines()) == 1
    fsck(tmp_path / 'new', '--all')


@pytest.mark.parametrize('seed', range(3))
def test_killed_at_any_moment_it_goes_on(source, tmp_path, seed):
    rng = random.Random(seed)
    want = digests(migrate(source, tmp_path / 'whole'))
    kills = 0
    while True:
        p = subprocess.Popen([str(BINARY), 'migrate', *map(str, words(source, tmp_path / 'new'))], stdout=subprocess.DEVNULL)
        killer = threading.Timer(rng.uniform(0.005, 0.1) * 1.3 ** kills, p.kill)
        killer.start()
        code = p.wait(300)
        killer.cancel()
        killer.join()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills
    got = migrate(source, tmp_path / 'new', '--verify')
    assert got['ok'] and digests(got) == want
    fsck(tmp_path / 'new', '--all')


def test_live_source_then_the_last_round(start_server, source, tmp_path, demo_frames):
    s = start_server(*FLAGS)
    done = threading.Event()

    def cars():
        for f in demo_frames[30:35]:
            s.frame(f)

    def voters(name):
        voter = Voter(s, name)
        while not done.is_set():
            voter.run(len(voter.answered) + 5)

    running = [threading.Thread(target=cars)] + [threading.Thread(target=voters, args=(f'live{i}',)) for i in range(2)]
    for t in running:
        t.start()
    first = migrate(source, tmp_path / 'new')
    assert not first['final'] and first['rounds'] >= 1 and 'in use by process' in first['busy']
    assert 'in use' in run('migrate', *words(source, tmp_path / 'new'), '--final', ok=(3,)).stderr
    running[0].join()
    second = migrate(source, tmp_path / 'new')
    assert second['ok'] and not second['final']
    done.set()
    for t in running:
        t.join()
    assert s.stop() == 0
    last = migrate(source, tmp_path / 'new')
    assert last['ok'] and last['final'] and last['fsck']['ok']
    assert vote_lines(tmp_path / 'new') == vote_lines(source)
    check_goes_on(start_server, 'new', demo_frames[35:])
    fsck(tmp_path / 'new', '--all')


def test_a_free_lock_of_one_folder_does_not_say_that_all_is_idle(start_server, source, tmp_path):
    mixed = [source] + urls(source, 'log')
    got = migrate(mixed, tmp_path / 'mixed')
    assert not got['final'] and not got['compared']
    assert migrate(mixed, tmp_path / 'mixed', '--final')['final']
    s = start_server(*FLAGS, '--store-log', f'sqlite:{source}/log.db', data='other')
    got = migrate(source, tmp_path / 'new')
    assert not got['final'] and 'somebody reads topic' in got['busy']
    refused = run('migrate', *words(source, tmp_path / 'new'), '--final', ok=(3,)).stderr
    assert 'somebody reads topic' in refused and len(refused.strip().splitlines()) == 1
    assert s.stop() == 0
    assert migrate(source, tmp_path / 'new')['final']


def test_frames_that_wait_in_the_folder_are_told(start_server, source, tmp_path, demo_frames):
    assert migrate(source, tmp_path / 'new', '--dry-run')['spooled_frames'] == 0
    away = tmp_path / 'away'
    s = start_server(*FLAGS, '--frames-when_away', 'keep', '--store-log', f'fault+sqlite:{source}/log.db?file={away}', data=source.name)
    away.touch()
    wait_until(lambda: s.get('/v1/status').json()['stores']['log']['away'], 30, 'the log away')
    s.post('/v1/frames', data=demo_frames[30], headers={'Content-Type': 'image/jpeg'}, code=202)
    assert s.stop() == 0
    p = run('migrate', *words(source, tmp_path / 'new'), '--json', ok=(1,))
    assert json.loads(p.stdout)['spooled_frames'] == 1 and '1 frames wait in' in p.stderr
    s = start_server(*FLAGS, data=source.name)
    wait_until(lambda: not list((source / 'spool').glob('*.frame')), 60, 'the spool')
    s.wait_drained()
    assert s.stop() == 0
    assert migrate(source, tmp_path / 'new')['spooled_frames'] == 0


def test_a_look_makes_nothing(source, tmp_path):
    for target in (tmp_path / 'new', urls(tmp_path / 'new')):
        plan = migrate(source, target, '--dry-run')
        assert set(plan['stores']) == set(STORES) and all(v['items'] > 0 == v['there'] for v in plan['stores'].values())
    assert not (tmp_path / 'new').exists()
    (tmp_path / 'new').mkdir()
    migrate(source, urls(tmp_path / 'new', 'log'))
    migrate(source, tmp_path / 'new', '--dry-run')
    assert {p.name for p in (tmp_path / 'new').iterdir() if not p.name.startswith('log.db')} == set()


def test_stopped_by_a_signal_it_says_so_and_goes_on(source, tmp_path):
    away = urls(tmp_path / 'new', 'crops', prefix='fault+', query='?every=1&status=AWAY&calls=put_many')
    p = subprocess.Popen([str(BINARY), 'migrate', *map(str, words(source, away + [tmp_path / 'new']))], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / 'new' / 'artifacts' / 'datasets' / 'v0002.json').exists(), 60, 'the artifacts')
    p.send_signal(signal.SIGINT)
    assert 'the same command goes on' in p.communicate(timeout=60)[1]
    assert p.returncode == 3
    p = run('migrate', *words(source, away + [tmp_path / 'new']), '--patience', 0, ok=(3,))
    assert 'fault: crops.put_many' in p.stderr
    assert migrate(source, tmp_path / 'new')['ok']


@pytest.mark.parametrize('when', ['before', 'after'])
def test_servers_that_come_and_go(source, tmp_path, when):
    query = f'?every=3&status=TIMEOUT&when={when}'
    want = digests(migrate(source, tmp_path / 'whole'))
    p = run('migrate', *words(urls(source, prefix='fault+', query=query), urls(tmp_path / 'new', prefix='fault+', query=query)), '--json')
    assert json.loads(p.stdout)['ok'] and not json.loads(p.stdout)['final']
    got = migrate(source, tmp_path / 'new', '--final')
    assert got['ok'] and digests(got) == want and not any(v['copied'] for v in got['stores'].values())


def test_damage_in_the_source_is_named_and_not_copied(source, tmp_path):
    db = sqlite3.connect(source / 'crops.db')
    key, = db.execute('SELECT key FROM crop ORDER BY key LIMIT 1 OFFSET 7').fetchone()
    db.execute("UPDATE crop SET jpeg = x'00' || substr(jpeg, 2) WHERE key = ?", (key,))
    db.commit()
    db.close()
    shard = next((source / 'artifacts' / 'curate').rglob('*.tar'), None) or next((source / 'artifacts').rglob('*.tar'))
    shard.write_bytes(shard.read_bytes()[:-1] + b'!')
    path = str(shard.relative_to(source / 'artifacts'))
    db = sqlite3.connect(source / 'reviews.db')
    review, = db.execute('SELECT r.key FROM review r JOIN status s ON s.seq = r.seq WHERE s.state = 2 LIMIT 1').fetchone()
    db.execute('UPDATE status SET votes = votes + 1 WHERE seq = (SELECT seq FROM review WHERE key = ?)', (review,))
    db.commit()
    db.close()
    got = migrate(source, tmp_path / 'new', ok=(1,))
    found = {(f['what'], f['where']) for f in got['findings']}
    assert {('crop', key), ('artifact', path), ('review', review)} <= found and not got['ok'] and 'fsck' not in got
    assert {w for _, w in found} == {key, path, review}
    assert not (tmp_path / 'new' / 'artifacts' / path).exists()
    db = sqlite3.connect(tmp_path / 'new' / 'crops.db')
    assert db.execute('SELECT count(*) FROM crop WHERE key = ?', (key,)).fetchone() == (0,)
    db.close()


def test_damage_in_the_target_is_named(source, tmp_path):
    migrate(source, tmp_path / 'new')
    db = sqlite3.connect(tmp_path / 'new' / 'log.db')
    db.execute("UPDATE message SET key = 'x' WHERE id = (SELECT min(id) + 1 FROM message)")
    db.commit()
    db.close()
    got = migrate(source, tmp_path / 'new', '--verify', ok=(1,))
    assert [f['what'] for f in got['findings']] == ['message'] and got['findings'][0]['where'].endswith('/1')


def test_partitions_are_kept_or_more(source, tmp_path):
    more = urls(tmp_path / 'new', 'log', query='?partitions=4')
    got = migrate(source, more + [tmp_path / 'new'])
    assert got['ok'] and got['fsck']['ok']
    few = urls(tmp_path / 'few', 'log')
    run('migrate', *words(urls(source, 'log'), few))  # made with one
    assert migrate(tmp_path / 'new', tmp_path / 'back')['ok']
    p = run('migrate', *words(urls(tmp_path / 'new', 'log'), few), '--final', ok=(1,))
    assert 'partitions' in p.stderr


def test_a_log_whose_oldest_messages_are_gone_keeps_its_places(source, tmp_path):
    db = sqlite3.connect(source / 'log.db')
    db.execute("DELETE FROM message WHERE id < (SELECT (no << 40) + 3 FROM part WHERE topic = 'labels') "
               "AND id >= (SELECT no << 40 FROM part WHERE topic = 'labels')")
    db.commit()
    want = db.execute('SELECT id, time, key FROM message ORDER BY id').fetchall()
    db.close()
    assert migrate(source, tmp_path / 'new')['ok']
    db = sqlite3.connect(tmp_path / 'new' / 'log.db')
    got = db.execute("SELECT p.topic, m.id & ((1 << 40) - 1), m.time, m.key FROM message m JOIN part p ON p.no = m.id >> 40").fetchall()
    db.close()
    assert len(got) == len(want) and sorted(x[2:] for x in got) == sorted(x[1:] for x in want)
    assert min(at for topic, at, _, _ in got if topic == 'labels') == 3


def test_a_log_whose_newest_messages_are_gone_is_refused(source, tmp_path):
    log = urls(source, 'log')
    migrate(log, urls(tmp_path / 'old', 'log'), '--final')
    db = sqlite3.connect(source / 'log.db')
    db.execute("DELETE FROM message WHERE id = (SELECT max(id) FROM message WHERE id < (SELECT (no + 1) << 40 FROM part WHERE topic = 'labels'))")
    db.commit()
    db.close()
    p = run('migrate', *words(source, tmp_path / 'new'), ok=(1,))
    assert 'curate has read topic labels' in p.stderr and len(p.stderr.strip().splitlines()) == 1
    assert not any((tmp_path / 'new' / 'artifacts').rglob('*.json'))  # nothing was written
    got = migrate(log, urls(tmp_path / 'old', 'log'), '--verify', ok=(1,))
    assert 'only the target has it' in got['findings'][0]['why']


def test_reviews_without_the_log_keep_how_far_it_was_read(start_server, source, tmp_path, demo_frames):
    got = migrate(source, urls(tmp_path / 'new', 'reviews'))
    assert set(got['stores']) == {'reviews'} and got['ok'] and got['fsck']['ok']
    place = 'SELECT * FROM position ORDER BY 1, 2'
    old, new = (sqlite3.connect(folder / 'reviews.db') for folder in (source, tmp_path / 'new'))
    assert old.execute(place).fetchall() == new.execute(place).fetchall() != []
    new.execute('UPDATE position SET position = position - 1')
    new.commit()
    for db in (old, new):
        db.close()
    got = migrate(source, urls(tmp_path / 'new', 'reviews'), '--verify', ok=(1,))
    assert {f['what'] for f in got['findings']} == {'group'}
    alone = run('migrate', *words(urls(source, 'reviews'), urls(tmp_path / 'alone', 'reviews')), ok=(2,))
    assert 'name the log' in alone.stderr


def test_messages_in_further_partitions_of_the_target_are_seen(source, tmp_path):
    more = urls(tmp_path / 'new', 'log', query='?partitions=4')
    assert migrate(source, more)['ok']
    db = sqlite3.connect(tmp_path / 'new' / 'log.db')
    db.execute("INSERT INTO message SELECT (SELECT no << 40 FROM part WHERE topic = 'labels' AND partition = 3), time, key, body FROM message LIMIT 1")
    db.commit()
    db.close()
    assert 'the target has message labels/p3/0' in run('migrate', *words(source, more), ok=(1,)).stderr
    got = migrate(source, more, '--verify', ok=(1,))
    assert [(f['what'], f['where']) for f in got['findings']] == [('message', 'labels/p3/0')]


def test_one_store_alone(source, tmp_path):
    got = migrate(source, urls(tmp_path / 'new', 'log'))
    assert set(got['stores']) == {'log'} and got['ok'] and got['fsck']['ok']  # of the new log and what stayed
    assert not (tmp_path / 'new' / 'crops.db').exists()


def test_wrong_words_are_refused_with_the_reason(source, tmp_path):
    new = tmp_path / 'new'
    for args, why in (
            (('--from', source), '--to is missing'),
            (('--from', tmp_path / 'nowhere', '--to', new), 'no such data folder'),
            (('--from', f'sqlite:{source}/log.db', '--to', new), 'write log='),
            (('--from', 'ftp://host', '--to', new), 'no store is of that scheme'),
            (('--from', f'log=sqlite:{source}/none.db', '--to', f'log=sqlite:{new}/log.db'), 'there is no log'),
            (('--from', f'log=sqlite:{source}/log.db', '--to', new), '--from does not'),
            (('--from', source, '--to', source, ), 'the same'),
            (('--from', source, '--from', new, '--to', new), 'two folders'),
            (('--from', source, '--to', new, '--verify', '--final'), 'at a time'),
            (('--from', source, '--to', f'log=dir:{new}'), 'no log is called')):
        p = run('migrate', *args, ok=(2,))
        assert why in p.stderr and len(p.stderr.strip().splitlines()) == 1, (args, p.stderr)
    (tmp_path / 'used').mkdir()
    s = Server(tmp_path / 'used')
    assert 'in use by process' in run('migrate', *words(source, tmp_path / 'used'), ok=(3,)).stderr
    assert s.stop() == 0
