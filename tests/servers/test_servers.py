# SPDX-License-Identifier: Apache-2.0
"""deploy/dev/servers itself: idempotent, over its data again after a kill, honest about ports and names; and the proxy."""
import http.client
import json
import socket
import struct
import subprocess
import urllib.parse

import pytest

from conftest import tool


@pytest.fixture
def address():
    """host, port of a server's URL."""
    def of(url):
        u = urllib.parse.urlsplit(url)
        return u.hostname, u.port
    return of


def request(address, method, path, body=None, timeout=60, kind='application/octet-stream'):
    c = http.client.HTTPConnection(*address, timeout=timeout)
    c.request(method, path, body, {'Content-Type': kind})
    r = c.getresponse()
    got = r.status, r.read()
    c.close()
    return got


def store(address, path, data):
    """A file by WebHDFS."""
    status, answer = request(address, 'PUT', f'/webhdfs/v1{path}?op=CREATE&overwrite=true&noredirect=true')
    assert status == 200, answer
    to = urllib.parse.urlsplit(json.loads(answer)['Location'])
    assert to.hostname == '127.0.0.1'
    status, answer = request((to.hostname, to.port), 'PUT', f'{to.path}?{to.query}', data)
    assert status == 201, answer


def load(address, path):
    status, answer = request(address, 'GET', f'/webhdfs/v1{path}?op=OPEN&noredirect=true')
    assert status == 200, answer
    to = urllib.parse.urlsplit(json.loads(answer)['Location'])
    status, answer = request((to.hostname, to.port), 'GET', f'{to.path}?{to.query}')
    assert status == 200, answer
    return answer


def test_up_twice_leaves_what_runs(servers):
    mongodb = servers('mongodb')
    before = mongodb.status()['mongodb']
    mongodb.up()
    after = mongodb.status()['mongodb']
    assert after['state'] == 'ready' and after['pid'] == before['pid']


def test_a_killed_server_is_back_over_its_data(servers, address):
    hdfs = servers('hdfs')
    at = address(hdfs.url)
    data = bytes(range(256)) * 4096
    store(at, '/kept', data)
    hdfs.kill('namenode', 'datanode')
    assert {r['state'] for r in map(hdfs.status().get, ('namenode', 'datanode'))} == {'died'}
    with pytest.raises(ConnectionRefusedError):
        request(at, 'GET', '/webhdfs/v1/?op=GETFILESTATUS')
    hdfs.up()
    assert load(at, '/kept') == data
    store(at, '/after', data)


def test_what_dies_alone_is_started_by_the_next_up(servers):
    hdfs = servers('hdfs')
    before = hdfs.status()
    hdfs.kill('datanode')
    hdfs.up()
    after = hdfs.status()
    assert after['namenode']['pid'] == before['namenode']['pid']
    assert after['datanode']['pid'] != before['datanode']['pid']
    assert {after[n]['state'] for n in ('namenode', 'datanode')} == {'ready'}


def test_frozen_is_seen_and_thawed(servers):
    mongodb = servers('mongodb')
    mongodb.freeze()
    assert mongodb.status()['mongodb']['state'] == 'frozen'
    mongodb.thaw()
    assert mongodb.status()['mongodb']['state'] == 'ready'
    mongodb.freeze()
    mongodb.down()
    assert mongodb.status()['mongodb']['state'] == 'stopped'


def test_a_taken_port_is_told_with_its_holder(servers):
    mongodb = servers('mongodb')
    port = mongodb.port('mongodb')
    mongodb.down()
    with socket.create_server(('127.0.0.1', port)):
        said = tool(mongodb.state, 'up', 'mongodb', ok=(1,)).stderr
    assert f'port {port} is taken by pid ' in said and 'pytest' in said
    mongodb.up()


def test_a_pid_that_means_another_process_is_never_signalled(servers):
    mongodb = servers('mongodb')
    file = mongodb.state / 'mongodb' / 'process.json'
    told = json.loads(file.read_text())
    mongodb.kill()
    with socket.socket() as s:  # this very process, were it signalled, would not come to the end of the test
        told['pid'] = int((mongodb.state / 'owner').read_text())
        file.write_text(json.dumps(told))
        said = tool(mongodb.state, 'kill', 'mongodb', ok=(1,)).stderr
        assert 'not running: mongodb' in said
        assert s.fileno() >= 0
    mongodb.up()


def test_authentication_asks_for_the_user(servers):
    mongodb = servers('mongodb', set={'mongodb.auth': 'true'})
    assert '@' in mongodb.url and 'authSource=admin' in mongodb.url
    mongodb.kill()
    mongodb.up()
    python = json.loads((mongodb.state / 'mongodb' / 'process.json').read_text())['argv'][0]
    insert = 'import pymongo, sys; pymongo.MongoClient(sys.argv[1]).t.t.insert_one({})'
    for url, works in ((mongodb.url, True), (mongodb.url.replace('signloop:', 'signloop:x'), False)):
        p = subprocess.run([python, '-c', insert, url], capture_output=True, text=True, timeout=120, check=False)
        assert (p.returncode == 0) == works and ('AuthenticationFailed' in p.stderr) != works, p.stderr


def kafka_call(s, key, version, body):
    """One request of the Kafka protocol; the answer after its correlation number."""
    s.sendall(struct.pack('>ihhih', 10 + len(body), key, version, 1, -1) + body)
    with s.makefile('rb') as f:
        return f.read(struct.unpack('>i', f.read(4))[0])[4:]


def test_kafka_asks_for_the_password(servers):
    kafka = servers('kafka')
    url = urllib.parse.urlsplit(kafka.env['SIGNLOOP_TEST_KAFKA_SASL'])
    handshake, authenticate = 17, 36
    for password, error in ((url.password, 0), ('wrong', 58)):  # 58: SASL_AUTHENTICATION_FAILED
        token = f'\0{url.username}\0{password}'.encode()
        with socket.create_connection((url.hostname, url.port), timeout=60) as s:
            assert struct.unpack('>h', kafka_call(s, handshake, 1, struct.pack('>h5s', 5, b'PLAIN'))[:2]) == (0,)
            answer = kafka_call(s, authenticate, 0, struct.pack('>i', len(token)) + token)
            assert struct.unpack('>h', answer[:2]) == (error,)


def test_names_and_settings_that_nobody_has_are_refused(tmp_path):
    assert 'no server is called cassandra' in tool(tmp_path, 'up', 'cassandra', ok=(1,)).stderr
    assert 'write SERVER.KEY=VALUE' in tool(tmp_path, 'up', '--set', 'kafka', ok=(1,)).stderr
    assert 'not running: kafka' in tool(tmp_path, 'kill', 'kafka', ok=(1,)).stderr
    assert not (tmp_path / 'state.json').exists()


def test_env_names_only_what_runs(servers):
    mongodb = servers('mongodb')
    assert list(mongodb.env) == ['SIGNLOOP_TEST_MONGODB']
    assert tool(mongodb.state, 'env').stdout == f"export SIGNLOOP_TEST_MONGODB='{mongodb.url}'\n"
    mongodb.kill()
    assert tool(mongodb.state, 'env').stdout == ''


def test_run_stops_only_what_it_started(servers):
    mongodb = servers('mongodb')
    code = 'import os; assert os.environ["SIGNLOOP_TEST_SERVERS"] == "required"; assert os.environ["SIGNLOOP_TEST_MONGODB"]; exit(7)'
    tool(mongodb.state, 'run', 'mongodb', '--', 'python3', '-c', code, ok=(7,))
    assert mongodb.status()['mongodb']['state'] == 'ready'
    mongodb.down()
    tool(mongodb.state, 'run', 'mongodb', '--', 'python3', '-c', code, ok=(7,))
    assert mongodb.status()['mongodb']['state'] == 'stopped'


def test_hbase_outlives_the_loss_of_its_only_datanode_and_namenode(servers, address):
    hbase = servers('rest')
    at = address(hbase.url)
    before = hbase.status()['hbase']['pid']
    table = json.dumps({'name': 't', 'ColumnSchema': [{'name': 'c'}]})
    assert request(at, 'PUT', '/t/schema', table, kind='application/json')[0] == 201
    for lost in ('datanode', 'namenode'):
        assert request(at, 'PUT', f'/t/{lost}-runs/c:a', b'x')[0] == 200
        hbase.kill(lost)
        try:
            request(at, 'PUT', f'/t/{lost}-lost/c:a', b'x', timeout=3)  # HBase finds that its log cannot be written
        except TimeoutError:
            pass
        hbase.up(lost)
        assert request(at, 'PUT', f'/t/{lost}-back/c:a', b'x')[0] == 200
        assert request(at, 'GET', f'/t/{lost}-runs/c:a')[0] == 200
    assert hbase.status()['hbase']['pid'] == before


def test_proxy_forwards_cuts_drops_and_heals(servers, proxy, address):
    hdfs = servers('namenode')
    through = proxy(hdfs.url)
    at = address(through.url)
    ask = ('GET', '/webhdfs/v1/?op=GETFILESTATUS')
    assert request(at, *ask)[0] == 200
    assert through.connections == 1 and through.up_bytes and through.down_bytes

    through.drop_answers()
    with pytest.raises(TimeoutError):
        request(at, *ask, timeout=0.5)
    through.heal()
    through.cut_after(20)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        request(at, *ask)
    through.heal()
    through.refuse()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        request(at, *ask)
    through.heal()
    through.stall()
    c = http.client.HTTPConnection(*at, timeout=60)
    c.request(*ask)
    through.heal()
    assert c.getresponse().status == 200
    c.close()
    through.delay(60)
    before = through.up_bytes
    c = http.client.HTTPConnection(*at, timeout=60)
    c.request(*ask)
    through.wait(lambda: through.up_bytes > before)
    through.cut()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        c.getresponse()
