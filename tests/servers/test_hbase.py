# SPDX-License-Identifier: Apache-2.0
"""Crops on a real HBase whose gateway, master and region server are killed, frozen, cut and asked for a password."""
import base64
import collections
import http.client
import http.server
import json
import re
import subprocess
import threading
import time
import uuid

import pytest

from hammer import Hammer, program_path, verify as read_back

HAMMER = 'hammer_crops'
WAIT_S = 300  # HBase is back after half a minute, on a busy machine after two
WRITERS = 16


class Crops(Hammer):
    """.won: how often each key was."""

    def __init__(self, mode, url, threads):
        self.won = collections.Counter()
        super().__init__(HAMMER, mode, url, threads, WAIT_S)

    def take(self, word, rest):
        if word == 'fail':
            self.failures.append(rest)
        else:
            self.acknowledged.add(rest)
            self.won[rest] += word == 'won'

    def goes_on(self, more=300):
        super().goes_on(more)

    def fails(self, status):
        start = len(self.failures)
        self.wait(lambda: any(f.startswith(status) for f in self.failures[start:]), f'a failure {status}')


@pytest.fixture
def hammer():
    all_of = []

    def start(mode, url, threads=WRITERS):
        all_of.append(Crops(mode, url, threads))
        return all_of[-1]

    yield start
    for h in all_of:
        h.close()


def verify(url, numbers=(), ok=(0,)):
    """Reads back, with all the time it wants; gives (exit code, output, number of rows)."""
    url = re.sub(r'\?timeout_ms=\d+', '', url)
    p = read_back(HAMMER, url, numbers, WAIT_S)
    assert p.returncode in ok, f'exit {p.returncode}\n{p.stdout[-2000:]}{p.stderr}'
    rows = re.search(r'rows (\d+)', p.stdout)
    return p.returncode, p.stdout + p.stderr, int(rows.group(1)) if rows else None


@pytest.fixture(scope='module')
def hbase(module_servers):
    return module_servers('rest')


@pytest.fixture
def table():
    return 't' + uuid.uuid4().hex[:12]


def ask(hbase, method, path, body=None, accept='application/json'):
    """A request to the gateway itself; (status, body)."""
    c = http.client.HTTPConnection(hbase.url.split('//')[1], timeout=60)
    c.request(method, path, json.dumps(body) if body else None, {'Accept': accept, 'Content-Type': 'application/json'})
    answer = c.getresponse()
    got = answer.read()
    c.close()
    return answer.status, got


def rows_of(hbase, table):
    """{key: {column: bytes}} as any reader of the gateway sees them."""
    status, body = ask(hbase, 'GET', f'/{table}/*')
    assert status == 200, body
    d = base64.b64decode
    return {d(r['key']).decode(): {d(c['column']).decode(): d(c['$']) for c in r['Cell']} for r in json.loads(body)['Row']}


def some_rows(hbase, hammer, table, options=''):
    url = f'{hbase.url}/{table}{options}'
    h = hammer('put', url, 2)
    h.goes_on(10)
    h.stop()
    return url, h


@pytest.mark.parametrize('victim', ['rest', 'hbase'])
def test_a_kill_loses_nothing_that_was_acknowledged(hbase, hammer, table, victim):
    url = f'{hbase.url}/{table}?timeout_ms=5000'
    h = hammer('put', url)
    h.goes_on()
    hbase.kill(victim)
    h.wait(lambda: h.failures, 'a failure')
    hbase.up()
    h.goes_on()
    h.stop()
    assert {f.split()[0] for f in h.failures} <= {'AWAY', 'BUSY', 'TIMEOUT'}
    verify(url, h.acknowledged)


def test_a_frozen_gateway_is_a_timeout_and_goes_on(hbase, hammer, table):
    url = f'{hbase.url}/{table}?timeout_ms=1000'
    h = hammer('put', url)
    h.goes_on()
    hbase.freeze('rest')
    h.fails('TIMEOUT')
    hbase.thaw('rest')
    h.goes_on()
    h.stop()
    verify(url, h.acknowledged)


def test_lost_answers_never_make_two_winners(hbase, hammer, proxy, table):
    p = proxy(hbase.url)
    url = f'{p.url}/{table}?timeout_ms=3000'
    h = hammer('race', url)
    for _ in range(5):
        h.goes_on(50)
        p.drop_answers()
        sent = p.up_bytes
        p.wait(lambda: p.up_bytes > sent + 20000, WAIT_S)  # pylint: disable=cell-var-from-loop
        p.heal()
        p.cut()
    h.goes_on(50)
    h.stop()
    assert max(h.won.values()) == 1
    _, _, rows = verify(url, h.acknowledged)
    assert rows >= len(h.acknowledged)


def test_another_gateway_takes_over(hbase, hammer, proxy, table):
    one, two = proxy(hbase.url), proxy(hbase.url)
    url = f'hbase://{one.address},{two.address}/{table}?timeout_ms=20000'
    h = hammer('put', url)
    h.goes_on()
    one.refuse()
    h.goes_on()
    one.heal()
    two.stall()
    h.goes_on()
    two.heal()
    h.stop()
    assert not h.failures
    verify(url, h.acknowledged)


def test_a_region_server_away_behind_a_living_gateway(hbase, hammer, table):
    url = f'{hbase.url}/{table}?timeout_ms=2000'
    h = hammer('put', url)
    h.goes_on()
    hbase.freeze('hbase')
    h.wait(lambda: len(h.failures) >= WRITERS, 'a failure of each writer')
    hbase.thaw('hbase')
    hbase.up()  # one that was away for too long has ended
    h.goes_on()
    h.stop()
    verify(url, h.acknowledged)


def test_a_list_never_ends_early_for_a_region_server_that_is_away(hbase, hammer, table):
    """The gateway says the same at the end and where it could not read on."""
    url, h = some_rows(hbase, hammer, table)
    rows = len(rows_of(hbase, table))
    with subprocess.Popen([program_path(HAMMER), 'walk', f'{url}?timeout_ms=20000', '5'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as walk:
        def page():
            walk.stdin.write('\n')
            walk.stdin.flush()
            return walk.stdout.readline().split(' ', 2)
        assert page() == ['page', '5\n']
        hbase.kill('hbase')
        word, *rest = page()
        hbase.up()
        assert word == 'fail' and rest[0] in ('AWAY', 'TIMEOUT'), (word, rest)
        n, until = 5, time.monotonic() + WAIT_S  # HBase takes a while to be itself again
        while (got := page()) != ['page', '0\n'] and time.monotonic() < until:
            n += int(got[1]) if got[0] == 'page' else 0
        walk.stdin.close()
    assert got[0] == 'page', got
    assert n == rows >= len(h.acknowledged)


def test_gateway_away_when_opening(hbase, table):
    url = hbase.url.replace(hbase.url.rsplit(':', 1)[1], '1')
    code, said, _ = verify(f'{url}/{table}', ok=(3,))
    assert said.startswith('AWAY'), (code, said)


def test_a_table_of_another_schema_is_refused(hbase, table):
    assert ask(hbase, 'PUT', f'/{table}/schema', {'name': table, 'ColumnSchema': [{'name': 'other'}]})[0] == 201
    _, said, _ = verify(f'{hbase.url}/{table}', ok=(2,))
    assert f"table {table} has no column family 'data'" in said
    _, said, _ = verify(f'{hbase.url}/{table}x?make=0', ok=(2,))
    assert f'no table {table}x' in said
    _, said, _ = verify(f'{hbase.url}/{table}y?compression=NONESUCH', ok=(2,))
    assert 'NONESUCH' in said


def test_anyone_reads_the_documented_columns(hbase, hammer, table):
    _, h = some_rows(hbase, hammer, table, '?jpeg=data:1')
    rows = rows_of(hbase, table)
    assert len(rows) >= len(h.acknowledged)
    for key, cells in rows.items():
        assert set(cells) == {'data:1', 'data:meta', 'data:sum'}
        assert re.fullmatch(r'[0-9a-f]{4}-[0-9a-f]{24}-\d+x\d+x\d+x\d+', key)
        assert json.loads(cells['data:meta'])['v'] == 1
        assert len(cells['data:1']) == 3000 and len(cells['data:sum']) == 64
    families = json.loads(ask(hbase, 'GET', f'/{table}/schema')[1])['ColumnSchema']
    assert [(f['name'], f['VERSIONS']) for f in families] == [('data', '1')]


def test_half_a_row_and_a_changed_one_are_corrupt(hbase, hammer, table):
    url, _ = some_rows(hbase, hammer, table)
    half, changed, *_ = sorted(rows_of(hbase, table))
    assert ask(hbase, 'DELETE', f'/{table}/{half}/data:meta')[0] == 200
    e = lambda text: base64.b64encode(text.encode()).decode()  # noqa: E731
    cell = {'Row': [{'key': e(changed), 'Cell': [{'column': e('data:jpeg'), '$': e('another')}]}]}
    assert ask(hbase, 'PUT', f'/{table}/{changed}', cell)[0] == 200
    _, said, _ = verify(url, ok=(1,))
    assert f'crop {half} has no data:meta' in said
    assert f'crop {changed} is not what was stored' in said
    assert 'bad 2' in said


def test_rows_of_others_are_passed_over(hbase, hammer, table):
    """At the end of the table and before it: longer than any key of ours, no UTF-8, of another family."""
    url, h = some_rows(hbase, hammer, table)
    ours = len(rows_of(hbase, table))
    assert ask(hbase, 'POST', f'/{table}/schema', {'name': table, 'ColumnSchema': [{'name': 'other'}]})[0] == 200
    for key, column in ((b'0' * 90, 'data:x'), (b'z' * 90, 'data:x'), (b'zz\xff\xfe', 'data:x'), (b'zzz', 'other:x')):
        row = {'key': base64.b64encode(key).decode(), 'Cell': [{'column': base64.b64encode(column.encode()).decode(), '$': 'eA=='}]}
        assert ask(hbase, 'PUT', f'/{table}/row', {'Row': [row]})[0] == 200
    assert len(json.loads(ask(hbase, 'GET', f'/{table}/*')[1])['Row']) == ours + 4
    _, _, rows = verify(url, h.acknowledged)
    assert rows == ours


def test_rows_end_by_their_time_to_live(hbase, hammer, table):
    url, h = some_rows(hbase, hammer, table, '?ttl_s=3')
    end = time.monotonic() + WAIT_S
    while verify(url, ok=(0, 1))[2]:  # 1: a row ended between being listed and being read
        assert time.monotonic() < end
    _, said, _ = verify(f'{hbase.url}/{table}?ttl_s=4', ok=(2,))
    assert 'for 3 s, not ttl_s=4' in said
    assert h.acknowledged


class Guard:
    """An HTTP proxy before the gateway that wants a user and a password, and notes what it was asked."""

    def __init__(self, target, user, password):
        self.asked = []
        want = 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()
        guard = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def serve(self):
                body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                guard.asked.append((self.command, self.path))
                if self.headers.get('Authorization') != want:
                    self.give(401, b'who are you?\n', {'WWW-Authenticate': 'Basic realm="hbase"'})
                    return
                c = http.client.HTTPConnection(target, timeout=60)
                keep = {k: v for k, v in self.headers.items() if k in ('Accept', 'Content-Type')}
                c.request(self.command, self.path, body or None, keep)
                answer = c.getresponse()
                self.give(answer.status, answer.read(), {k: v for k, v in answer.getheaders() if k == 'Location'})
                c.close()

            do_GET = do_PUT = do_DELETE = serve

            def give(self, status, body, headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if status not in (204, 304):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.address = '127.0.0.1:%d' % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def guard(hbase):
    g = Guard(hbase.url.split('//')[1], 'me', 'pass/word')
    yield g
    g.close()


def test_wrong_credentials_are_told_once_and_right_ones_work(guard, hammer, table):
    for options in ('', '?user=me&password=guessed'):
        guard.asked.clear()
        _, said, _ = verify(f'hbase://{guard.address}/{table}{options}', ok=(2,))
        assert 'says 401' in said and 'guessed' not in said
        assert len(guard.asked) == 1
    url = f'hbase://{guard.address}/{table}?user=me&password=pass/word'
    h = hammer('put', url, 2)
    h.goes_on(10)
    h.stop()
    verify(url, h.acknowledged)


def test_a_gateway_that_lets_us_not_in_leaves_it_to_the_others(guard, hbase, hammer, table):
    some_rows(hbase, hammer, table)  # makes the table
    url = f'hbase://{guard.address},{hbase.url.split("//")[1]}/{table}?user=me&password=guessed'
    h = hammer('put', url, 2)
    h.goes_on(20)
    h.stop()
    assert not h.failures and guard.asked
    verify(url, h.acknowledged)


def test_scanners_are_deleted(guard, hammer, table):
    url = f'hbase://{guard.address}/{table}?user=me&password=pass/word'
    h = hammer('put', url, 2)
    h.goes_on(10)
    h.stop()
    guard.asked.clear()
    verify(url)
    opened = [p for m, p in guard.asked if m == 'PUT' and p == f'/{table}/scanner']
    deleted = {p for m, p in guard.asked if m == 'DELETE' and p.startswith(f'/{table}/scanner/')}
    assert opened and len(opened) == len(deleted)
