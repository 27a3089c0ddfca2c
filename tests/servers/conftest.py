# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests that kill, freeze or cut a real server: an instance of their own, never the shared one.

    def test_it(servers, proxy):
        kafka = servers('kafka')                 # a running private instance: own folder, own ports, shared jars
        kafka.url                                # 'kafka://127.0.0.1:20140': the first name's
        kafka.kill(); kafka.up()                 # SIGKILL and back over its data; both return when it is so
        kafka.freeze(); kafka.thaw()             # SIGSTOP: connections stay, nothing is answered
        slow = proxy(kafka)                      # see proxy.py; slow.url goes through it
        slow.delay(2.0); slow.cut()

    servers('rest')                              # and what it needs: namenode, datanode, hbase
    servers('kafka', 'mongodb')                  # .urls['mongodb'], .kill('mongodb')
    servers('mongodb', set={'mongodb.enable-test-commands': 'true'})    # any line of its configuration
    servers('mongodb', set={'mongodb.auth': 'true'})                    # .url has user and password
    servers('kafka').env['SIGNLOOP_TEST_KAFKA_SASL']                    # every variable of `deploy/dev/servers env`

`servers` gives instances that end with the test; `module_servers` those that end with the module (HBase takes half a
minute to start: share it, and have it up again at the end of each test). They are ended also when a test fails; those
that an interrupted run left are ended by the next. Where neither Java nor Maven is there the tests are skipped with that
reason, but with SIGNLOOP_TEST_SERVERS=required they fail.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from proxy import Proxy  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('SIGNLOOP_BUILD', ROOT / 'build')).absolute()
TOOL = ROOT / 'deploy' / 'dev' / 'servers'
SHARED = pathlib.Path(os.environ.get('SIGNLOOP_SERVERS', BUILD / 'servers')).absolute()
LIB = pathlib.Path(os.environ.get('SIGNLOOP_SERVERS_LIB', SHARED / 'lib')).absolute()
PRIVATE = BUILD / 'servers-private'
TOOL_S = 900  # also for the downloads of a first run
VARIABLE = {'kafka': 'SIGNLOOP_TEST_KAFKA', 'namenode': 'SIGNLOOP_TEST_WEBHDFS', 'datanode': 'SIGNLOOP_TEST_WEBHDFS',
            'hdfs': 'SIGNLOOP_TEST_WEBHDFS', 'hbase': 'SIGNLOOP_TEST_HBASE', 'rest': 'SIGNLOOP_TEST_HBASE',
            'mongodb': 'SIGNLOOP_TEST_MONGODB'}


def tool(state, *words, ok=(0,), env=None, seconds=TOOL_S):
    """Runs deploy/dev/servers over a state folder; the finished process."""
    p = subprocess.run([str(TOOL), '--state', str(state), '--lib', str(LIB), *map(str, words)], capture_output=True, text=True,
                       timeout=seconds, check=False, env={**os.environ, **(env or {})})
    assert p.returncode in ok, f'servers {" ".join(map(str, words))}: exit {p.returncode}\n{p.stdout}\n{p.stderr}'
    return p


class Instance:
    """Private servers. Methods without names act on those that were asked for."""

    def __init__(self, state, names, settings):
        self.state = pathlib.Path(state)
        self.names = names
        self.settings = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
        self.up()
        self.env = json.loads(tool(self.state, 'env', '--json').stdout)
        self.urls = {name: self.env[VARIABLE[name]] for name in names if VARIABLE[name] in self.env}
        self.url = self.urls.get(names[0])

    def up(self, *names, seconds=TOOL_S):
        tool(self.state, 'up', '--port-base', 0, *self.settings, *(names or self.names), seconds=seconds)

    def down(self, *names):
        tool(self.state, 'down', *(names or self.names))

    def kill(self, *names):
        tool(self.state, 'kill', *(names or self.names))

    def freeze(self, *names):
        tool(self.state, 'freeze', *(names or self.names))

    def thaw(self, *names):
        tool(self.state, 'thaw', *(names or self.names))

    def status(self):
        """{name: row}; a row has name, state and, where it runs, pid, memory_mb, up_s, ports."""
        return {row['name']: row for row in json.loads(tool(self.state, 'status', '--json', ok=(0, 1)).stdout)}

    def port(self, server, port=None):
        """The number of a named port of a server that runs: port('kafka', 'kafka-sasl')."""
        return self.status()[server]['ports'][port or server]

    def log(self, name, lines=200):
        return tool(self.state, 'log', '-n', lines, name).stdout

    def close(self):
        end(self.state)


def end(state):
    """Nothing of it runs any more and its folder is gone."""
    tool(state, 'kill', 'all', ok=(0, 1))
    shutil.rmtree(state, ignore_errors=True)


def owner_lives(state):
    try:
        os.kill(int((state / 'owner').read_text(encoding='ascii')), 0)
        return True
    except (OSError, ValueError):
        return False


@pytest.fixture(scope='session')
def private_folders():
    """Makes state folders; what interrupted runs have left is ended first."""
    if os.environ.get('SIGNLOOP_TEST_SERVERS') != 'required':
        for program in ('java', 'mvn'):
            if not shutil.which(program):
                pytest.skip(f'{program} is not installed: no real servers (make servers)')
    PRIVATE.mkdir(parents=True, exist_ok=True)
    for left in PRIVATE.iterdir():
        if not owner_lives(left):
            end(left)
    made = []

    def make():
        state = PRIVATE / f'{os.getpid()}-{len(made)}'
        state.mkdir()
        (state / 'owner').write_text(str(os.getpid()), encoding='ascii')
        made.append(state)
        return state

    yield make
    for state in made:
        if state.exists():
            end(state)


def starter(private_folders):
    instances = []

    def start(*names, set=None):  # pylint: disable=redefined-builtin
        state = private_folders()
        try:
            instance = Instance(state, names, set or {})
        except BaseException:
            end(state)
            raise
        instances.append(instance)
        return instance

    yield start
    for instance in instances:
        instance.close()


@pytest.fixture
def servers(private_folders):
    yield from starter(private_folders)


@pytest.fixture(scope='module')
def module_servers(private_folders):
    yield from starter(private_folders)


@pytest.fixture
def proxy():
    """proxy(URL or instance) gives a Proxy in front of that server, .url through it; all are closed at the end."""
    proxies = []

    def start(target):
        if isinstance(target, Instance) and target.names[0] == 'kafka':
            behind = f'kafka://127.0.0.1:{target.port("kafka", "kafka-behind")}'
            proxies.append(Proxy(behind, listen=target.port('kafka', 'kafka-proxy')))
        else:
            proxies.append(Proxy(target.url if isinstance(target, Instance) else target))
        return proxies[-1]

    yield start
    for p in proxies:
        p.close()
