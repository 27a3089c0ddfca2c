# SPDX-License-Identifier: Apache-2.0
"""The log on Kafka while the broker is killed, frozen and cut off, by `hammer_log` (see there) against private brokers."""
import collections
import os
import pathlib
import re
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('SIGNLOOP_BUILD', ROOT / 'build')).absolute()
HAMMER = BUILD / 'tests' / 'contract' / 'hammer_log'
WRITERS = 16
WAIT_S = 120


class Hammer:
    """A hammer_log that runs. What it printed is in .lines; leaving the block ends it."""

    def __init__(self, *words):
        self.lines = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen([HAMMER, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip('\n'))
                self.changed.notify_all()

    def of(self, word):
        with self.changed:
            return [line.split(' ', 1)[1] for line in self.lines if line.startswith(word + ' ')]

    def wait(self, word, n=1):
        """Until it has printed n lines that begin with word."""
        def is_so():
            return sum(line == word or line.startswith(word + ' ') for line in self.lines) >= n
        with self.changed:
            assert self.changed.wait_for(is_so, WAIT_S), f'no {n} x {word} in {WAIT_S} s: {self.lines[-3:]}'

    def more(self, word, n):
        self.wait(word, len(self.of(word)) + n)

    def kill(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(WAIT_S) == 0
        self.reader.join(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.kill()
        elif self.process.poll() is None:
            self.end()


def hammer(*words, ok=True):
    p = subprocess.run([HAMMER, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S,
                       check=False)
    assert (p.returncode == 0) == ok, p.stdout + p.stderr
    return p.stdout if ok else p.stderr


def with_options(url, options):
    return url + ('&' if '?' in url else '?') + options


def bodies(lines):
    """'got' lines without their places, as (writer, number)."""
    return [tuple(map(int, line.split()[2:])) for line in lines]


def check_order(messages, doubles_of):
    """Each writer's numbers in order of their first appearance; a double is of a call that failed."""
    due = collections.Counter()
    doubles = collections.Counter()
    for writer, number in messages:
        if number < due[writer]:
            doubles[writer] += 1
        else:
            assert number == due[writer], f'writer {writer}: {number} where {due[writer]} is due'
            due[writer] += 1
    for writer, n in doubles.items():
        assert n <= doubles_of, f'writer {writer}: {n} doubles, {doubles_of} failed calls'
    return due


@pytest.fixture(scope='module')
def kafka(module_servers):
    return module_servers('kafka')


def test_a_broker_killed_in_the_middle_loses_nothing(kafka):
    url = with_options(kafka.url, 'prefix=killed.&partitions=4&session_ms=6000&timeout_ms=60000')
    with Hammer('append', url, 'labels', WRITERS) as writers, \
            Hammer('consume', url, 'g', 'labels') as one, Hammer('consume', url, 'g', 'labels') as two:
        for consumer in (one, two):
            consumer.wait('ready')
        writers.more('ok', 500)
        kafka.kill()
        kafka.up()
        writers.more('ok', 500)
        one.more('committed', 1)
        two.more('committed', 1)
        writers.end()
        answered = {tuple(map(int, line.split())) for line in writers.of('ok')}
        failed = len(writers.of('fail'))
        stored = bodies([line[4:] for line in hammer('read', url, 'labels').splitlines()])
        assert answered <= set(stored)
        check_order(stored, failed)
        for lag in iter(lambda: hammer('lag', url, 'g', 'labels'), 'lag 0\n'):
            assert lag.startswith('lag ')
            one.wait('ready')
    seen = bodies(one.of('got') + two.of('got'))
    assert set(stored) <= set(seen)


def test_a_consumer_killed_in_the_middle_hands_over(kafka):
    url = with_options(kafka.url, 'prefix=handover.&partitions=4&session_ms=3000')
    with Hammer('append', url, 'labels', 4) as writers, Hammer('consume', url, 'g', 'labels') as stays:
        stays.wait('committed')
        with Hammer('consume', url, 'g', 'labels') as killed:
            killed.wait('committed')
            killed.kill()
        stays.more('committed', 1)
        writers.end()
        answered = {tuple(map(int, line.split())) for line in writers.of('ok')}
        for lag in iter(lambda: hammer('lag', url, 'g', 'labels'), 'lag 0\n'):
            assert lag.startswith('lag ')
    assert answered <= set(bodies(killed.of('got') + stays.of('got')))


def test_a_frozen_broker_is_a_timeout_and_then_goes_on(kafka):
    url = with_options(kafka.url, 'prefix=frozen.&request_ms=2000&timeout_ms=5000&session_ms=6000')
    with Hammer('append', url, 'labels', 2, 700) as writers, Hammer('consume', url, 'g', 'labels') as consumer:
        writers.wait('ok', 20)
        consumer.wait('committed')
        kafka.freeze()
        try:
            writers.wait('fail', 6)
        finally:
            kafka.thaw()
        for line in writers.of('fail'):
            status, ms, text = line.split(' ', 2)
            assert status in ('TIMEOUT', 'AWAY'), line
            assert int(ms) < 5000, line  # the call's deadline, not the broker's silence
            assert text.startswith('kafka 127.0.0.1:')
        writers.more('ok', 20)
        consumer.more('committed', 1)


def test_an_answer_that_was_lost_costs_a_double_at_most(kafka, proxy):
    through = proxy(kafka)
    url = with_options(through.url, 'prefix=cut.&request_ms=2000&timeout_ms=4000')
    with Hammer('append', url, 'labels', 4) as writers:
        writers.wait('ok', 20)
        through.drop_answers()
        writers.wait('fail', 4)
        through.heal()
        through.cut()
        writers.more('ok', 50)
        for _ in range(3):
            through.cut()
            writers.more('ok', 50)
    answered = {tuple(map(int, line.split())) for line in writers.of('ok')}
    direct = with_options(kafka.url, 'prefix=cut.')
    stored = bodies([line[4:] for line in hammer('read', direct, 'labels').splitlines()])
    assert answered <= set(stored)
    check_order(stored, len(writers.of('fail')))


def test_sasl_lets_in_who_knows_the_password(kafka):
    url = kafka.env['SIGNLOOP_TEST_KAFKA_SASL']
    assert hammer('burst', with_options(url, 'prefix=sasl.'), 'labels', 10).count('ok') == 10
    secret = re.search(r':([^:@/]+)@', url).group(1)
    said = hammer('open', url.replace(secret, 'hunter2'), ok=False)
    assert said.startswith('USAGE: ') and 'no broker lets us in' in said and 'uthentication failed' in said
    assert 'hunter2' not in said
    said = hammer('open', with_options(kafka.url, 'security=ssl&connect_ms=1000'), ok=False)
    assert said.startswith('USAGE: ') and 'SSL' in said
    moved = with_options(re.sub(r'//[^@]+@', '//', url), 'user=nobody&password=hunter2')
    assert hammer('open', moved, ok=False).startswith('USAGE: ')


@pytest.mark.parametrize('options, reason', [
    ('bogus=1', "no option 'bogus'"),
    ('linger_ms=soon', 'a whole number from 0 to 1000 is wanted'),
    ('linger_ms=1001', 'a whole number from 0 to 1000 is wanted'),
    ('compression=rar', 'one of none|gzip|snappy|lz4|zstd is wanted'),
    ('security=tls', 'one of plaintext|ssl|sasl_plaintext|sasl_ssl is wanted'),
    ('replication=0', '1 to 32, or -1, is wanted'),
    ('prefix=a/b', 'letters, digits or . _ - are wanted'),
    ('security=ssl&ca=/nowhere.pem', 'ssl.ca.location'),
    ('heartbeat_ms=5000&session_ms=4000', 'heartbeat_ms must come with a longer session_ms'),
    ('user=a&password=b', 'must come with security=sasl_ssl or sasl_plaintext'),
    ('password=b', 'must come with security=sasl_ssl or sasl_plaintext'),
    ('key_password=b', 'must come with security=ssl or sasl_ssl'),
    ('security=sasl_ssl&user=a&password=b', 'must come with a mechanism'),
    ('ca=/etc/ssl/certs/ca-certificates.crt', 'must come with security=ssl or sasl_ssl'),
])
def test_what_is_wrong_in_the_url_is_told_without_a_broker(options, reason):
    said = hammer('open', f'kafka://127.0.0.1:9?{options}', ok=False)
    assert said.startswith('USAGE: ') and reason in said


def test_nobody_there_is_told_with_the_reason():
    said = hammer('open', 'kafka://127.0.0.1:9,127.0.0.1:10?connect_ms=500', ok=False)
    assert said.startswith('AWAY: ') and 'refused' in said


def test_what_the_broker_refuses_is_told_with_the_reason(servers):
    broker = servers('kafka', set={'kafka.message.max.bytes': '20000'})
    said = hammer('burst', with_options(broker.url, 'prefix=few.&replication=3'), 'labels', 1, ok=False)
    assert said.startswith('USAGE: ') and 'topic few.labels cannot be made' in said
    # A request that is larger than the broker takes is no reason to refuse messages that are not.
    assert hammer('burst', with_options(broker.url, 'prefix=big.&linger_ms=5'), 'labels', 600).count('ok') == 600
