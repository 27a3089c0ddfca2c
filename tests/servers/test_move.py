# SPDX-License-Identifier: Apache-2.0
"""Embedded stores moved to the four real servers, used there, and moved back."""
from cluster import KINDS, base_urls, new_name, real_url
from moving import check_goes_on, digests, migrate, source, vote_lines, world  # noqa: F401


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
