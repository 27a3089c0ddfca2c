# SPDX-License-Identifier: Apache-2.0
"""Embedded stores moved to the four real servers, used there, and moved back."""
import sqlite3
import urllib.parse

from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from cluster import KINDS, base_urls, new_name, real_url
from moving import check_goes_on, digests, migrate, source, urls, vote_lines, words, world  # noqa: F401
from rig import run


def test_to_the_real_servers_and_back(start_server, source, tmp_path, demo_frames):
    base, name = base_urls(), new_name()
    away = [f'{kind}={real_url(kind, base[kind], name)}' for kind in KINDS]
    got = migrate(source, away)
    assert got['ok'] and got['final'] and got['fsck']['ok']
    back = migrate(away, tmp_path / 'back', '--final')
    assert back['ok'] and digests(back) == digests(got)
    assert vote_lines(tmp_path / 'back') == vote_lines(source)
    check_goes_on(start_server, 'process', demo_frames[30:], *(f'--store-{word}' for word in away))
    back = migrate(away, tmp_path / 'back', '--final')
    assert back['ok'] and back['fsck']['ok'] and back['stores']['log']['copied'] > 0


def test_what_retention_took_is_refused_not_renumbered(source, tmp_path):
    name = new_name()
    kafka = f'log={real_url("log", base_urls()["log"], name)}'
    assert migrate(urls(source, 'log'), [kafka], '--final')['ok']
    admin = AdminClient({'bootstrap.servers': urllib.parse.urlsplit(kafka.partition('=')[2]).netloc})
    gone = [TopicPartition(f'{name}.labels', p, OFFSET_END) for p in range(4)]
    for done in admin.delete_records(gone).values():
        done.result(60)
    p = run('migrate', *words([kafka], urls(tmp_path / 'back', 'log')), '--final', ok=(1,))
    assert 'retention' in p.stderr and len(p.stderr.strip().splitlines()) == 1
    db = sqlite3.connect(tmp_path / 'back' / 'log.db')
    assert db.execute('SELECT count(*) FROM message').fetchone() == (0,)
    db.close()
    got = migrate([kafka], urls(source, 'log'), '--verify', ok=(1,))
    assert {f['what'] for f in got['findings']} == {'message'}
