# SPDX-License-Identifier: Apache-2.0
"""Artifacts on a real HDFS: its daemons killed, frozen and cut in the middle, quotas, rights, log-ins, HA lists."""
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import time
import uuid

import pytest
import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from namenode_front import Front  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('SIGNLOOP_BUILD', ROOT / 'build')).absolute()
HAMMER = BUILD / 'tests' / 'contract' / 'hammer_artifacts'
RUN_S = 300
PATIENT = 'tries=100&timeout_ms=240000'
SUM = hashlib.sha256(b'other').hexdigest()


@pytest.fixture(scope='module')
def hdfs(module_servers):
    """One for all: with rights checked, and small pages of folders. A test leaves it running."""
    return module_servers('namenode', 'datanode', set={'namenode.dfs.permissions.enabled': 'true', 'namenode.dfs.ls.limit': 5})


@pytest.fixture
def place(hdfs):
    """A new folder's name; its URL without options is hdfs.url + place."""
    return '/' + uuid.uuid4().hex


@pytest.fixture
def front(hdfs):
    """front(...) gives a Front before the NameNode; all are closed at the end."""
    fronts = []

    def start(**kw):
        fronts.append(Front(hdfs.url, **kw))
        return fronts[-1]

    yield start
    for f in fronts:
        f.close()


def hammer(url, *args, ok=(0,), **kw):
    p = subprocess.run([str(HAMMER), url, *map(str, args)], capture_output=True, text=True, timeout=RUN_S, check=False, **kw)
    assert p.returncode in ok, f'{args}: exit {p.returncode}\n{p.stdout[-1000:]}\n{p.stderr}'
    return p


def refused(url, *args):
    """What it says when it fails."""
    return hammer(url, *args, ok=(1,)).stderr


def rest(hdfs, method, path, op, code=200, **more):
    r = requests.request(method, f'http://{hdfs.url.split("//")[1]}/webhdfs/v1{path}', params={'op': op, **more}, timeout=60)
    assert r.status_code == code, f'{op} {path}: {r.status_code} {r.text}'
    return r


def write(hdfs, path, data):
    to = rest(hdfs, 'PUT', path, 'CREATE', overwrite='true', noredirect='true').json()['Location']
    assert requests.put(to, data=data, headers={'Content-Type': 'application/octet-stream'}, timeout=60).status_code == 201


def names(hdfs, path):
    return [f['pathSuffix'] for f in rest(hdfs, 'GET', path, 'LISTSTATUS').json()['FileStatuses']['FileStatus']]


def file_of(tmp_path, size, name='bytes'):
    path = tmp_path / name
    path.write_bytes(os.urandom(size))
    return path


def same(url, path, file, tmp_path):
    got = tmp_path / 'got'
    hammer(url, 'get', path, got)
    return got.read_bytes() == file.read_bytes()


class Load:
    """hammer's load, read line by line."""

    def __init__(self, url, most):
        self.process = subprocess.Popen([str(HAMMER), url, 'load', str(most)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.acked = []

    def until(self, more):
        """Waits until so many more are acknowledged."""
        for _ in range(more):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self.acked.append(line.split()[1])

    def end(self):
        self.process.stdin.close()  # communicate() would not see what readline() has read ahead
        self.acked += [line.split()[1] for line in self.process.stdout]
        assert self.process.wait(RUN_S) == 0, self.process.stderr.read()


def test_what_was_acknowledged_is_whole_after_kills_of_both_daemons(hdfs, place):
    url, most = f'{hdfs.url}{place}?{PATIENT}', 100000
    load = Load(url, most)
    load.until(20)
    for name in ('datanode', 'namenode'):
        hdfs.kill(name)
        hdfs.up()
        load.until(20)
    load.end()
    whole = [line.split()[1] for line in hammer(url, 'check', most).stdout.splitlines()]
    assert set(load.acked) <= set(whole)
    assert len(set(load.acked)) == len(load.acked) >= 60
    assert len(whole) <= len(load.acked) + 8  # what the writers were at, no more


def test_of_two_processes_with_sixteen_threads_each_one_wins(hdfs, place, tmp_path):
    url, count = hdfs.url + place, 24
    racers = [subprocess.Popen([str(HAMMER), url, 'race', who, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True) for who in 'ab']
    for r in racers:
        assert r.stdout.readline() == 'ready\n'
    for r in racers:
        r.stdin.write('go\n')
        r.stdin.flush()
    won = [line.split()[1:] for r in racers for line in r.communicate(timeout=RUN_S)[0].splitlines()]
    assert [r.returncode for r in racers] == [0, 0]
    assert sorted(path for path, _ in won) == sorted(f'race/{k % 3}/{k}' for k in range(count))
    for path, by in won:
        hammer(url, 'get', path, tmp_path / 'got')
        assert (tmp_path / 'got').read_text() == by
    assert names(hdfs, f'{place}/.tmp') == []


def test_a_frozen_datanode_ends_at_the_deadline(hdfs, place, tmp_path):
    url, file = hdfs.url + place, file_of(tmp_path, 100000)
    hammer(url, 'put', 'a/b', file)
    hdfs.freeze('datanode')
    try:
        assert refused(f'{url}?timeout_ms=1500', 'put', 'a/c', file).startswith('TIMEOUT artifact a/c: ')
        assert refused(f'{url}?timeout_ms=1500', 'get', 'a/b', tmp_path / 'got').startswith('TIMEOUT artifact a/b: ')
        assert hammer(f'{url}?timeout_ms=10000', 'list', '').stdout == 'a/b 100000\n'
    finally:
        hdfs.thaw('datanode')
    assert same(url, 'a/b', file, tmp_path)
    hammer(url, 'put', 'a/c', file)


def test_a_frozen_namenode_ends_at_the_deadline(hdfs, place, tmp_path):
    url = hdfs.url + place
    hammer(url, 'open')
    hdfs.freeze('namenode')
    try:
        assert refused(f'{url}?timeout_ms=900', 'open').startswith('TIMEOUT ')
    finally:
        hdfs.thaw('namenode')
    hammer(url, 'open')


def test_a_download_that_breaks_goes_on_where_it_broke(hdfs, place, front, proxy, tmp_path):
    file = file_of(tmp_path, 8 << 20)
    hammer(hdfs.url + place, 'put', 'big', file)
    f, p = front(), proxy(f'127.0.0.1:{hdfs.port("datanode", "datanode-http")}')
    f.data = p.address
    p.cut_after(1 << 20, 'down')
    assert same(f'{f.url}{place}?piece={4 << 20}', 'big', file, tmp_path)
    assert p.connections >= 8
    assert p.down_bytes < (8 << 20) * 1.1  # no part came twice


def test_a_datanode_killed_in_the_middle_of_a_download(hdfs, place, front, proxy, tmp_path):
    file = file_of(tmp_path, 8 << 20)
    hammer(hdfs.url + place, 'put', 'big', file)
    f, p = front(), proxy(f'127.0.0.1:{hdfs.port("datanode", "datanode-http")}')
    f.data = p.address
    p.delay(0.1)
    got = tmp_path / 'got'
    with subprocess.Popen([str(HAMMER), f'{f.url}{place}?{PATIENT}', 'get', 'big', str(got)]) as get:
        p.wait(lambda: p.down_bytes > 1 << 20)
        hdfs.kill('datanode')
        p.cut()
        p.heal()
        hdfs.up()
        assert get.wait(RUN_S) == 0
    assert got.read_bytes() == file.read_bytes()


def test_a_rename_whose_answer_was_lost_has_won(hdfs, place, front, tmp_path):
    file = file_of(tmp_path, 1000)
    f = front()
    hammer(f.url + place, 'open')
    for counter, path in ((f.after, 'x/after'), (f.before, 'x/before')):
        counter['RENAME'] = 1
        hammer(f.url + place, 'put', path, file)
        assert same(hdfs.url + place, path, file, tmp_path)
        assert refused(f.url + place, 'put', path, file).startswith('EXISTS ')
    assert names(hdfs, f'{place}/.tmp') == []


@pytest.mark.parametrize('op', ['CREATE', 'SETXATTR', 'MKDIRS', 'GETFILESTATUS', 'OPEN', 'GETXATTRS', 'DELETE'])
def test_any_other_lost_answer_is_asked_again(hdfs, place, front, tmp_path, op):
    file = file_of(tmp_path, 1000)
    f = front()
    f.gateway = True  # so that answers to the bytes are lost as well
    url = f.url + place
    for command in (('open',), ('put', 'x/y', file), ('get', 'x/y', tmp_path / 'got'), ('remove', 'x/y')):
        f.after[op] = 1
        hammer(url, *command)
        if command[0] == 'get':
            assert (tmp_path / 'got').read_bytes() == file.read_bytes()
    assert hammer(url, 'list', '').stdout == ''


def test_a_full_quota_says_what_to_do_and_leaves_nothing(hdfs, place, tmp_path):
    url, file = hdfs.url + place, file_of(tmp_path, 100000)
    hammer(url, 'open')
    for quota, word in (({'storagespacequota': 1 << 20, 'namespacequota': 1000}, '-setSpaceQuota'),
                        ({'storagespacequota': 1 << 40, 'namespacequota': 2}, '-setQuota')):
        rest(hdfs, 'PUT', place, 'SETQUOTA', **quota)
        said = refused(url, 'put', 'a/b', file) if word == '-setSpaceQuota' else refused(url, 'open')
        assert said.startswith('IO ') and 'quota' in said and word in said
        assert names(hdfs, f'{place}/.tmp') == [] and names(hdfs, place) == ['.tmp']
    rest(hdfs, 'PUT', place, 'SETQUOTA', storagespacequota=1 << 40, namespacequota=1000)
    hammer(url, 'put', 'a/b', file)
    assert same(url, 'a/b', file, tmp_path)


def test_of_several_namenodes_the_active_is_found_and_remembered(hdfs, place, front, tmp_path):
    file, standby = file_of(tmp_path, 1000), front()
    standby.standby = True
    live = hdfs.url.split('//')[1]
    dead = '127.0.0.1:1'
    url = f'webhdfs://{dead},{standby.address},{live}{place}'
    hammer(url, 'put', 'a', file)
    assert len(standby.asked) == 1
    assert same(url, 'a', file, tmp_path)
    assert len(standby.asked) == 2  # once a process
    said = refused(f'webhdfs://{dead},{standby.address}{place}?tries=2', 'open')
    assert said.startswith('AWAY ') and ('Standby' in said or dead.replace(':', ' port ') in said)


def test_no_permission_is_said_at_open(hdfs, place, front):
    rest(hdfs, 'PUT', place, 'MKDIRS', permission='700')
    standby = front()
    standby.standby = True
    for nodes in (hdfs.url, hdfs.url.replace('//', f'//{standby.address},')):  # the active's word, whoever was asked first
        said = refused(f'{nodes}{place}/x?user=bob', 'open')
        assert said.startswith('IO ') and 'Permission denied: user=bob' in said and 'chmod' in said
    rest(hdfs, 'PUT', f'{place}/readable', 'MKDIRS', permission='755')
    rest(hdfs, 'PUT', place, 'SETPERMISSION', permission='755')
    rest(hdfs, 'PUT', f'{place}/readable/.tmp', 'MKDIRS', permission='777')
    said = refused(f'{hdfs.url}{place}/readable?user=bob', 'open')
    assert said.startswith('IO ') and 'Permission denied: user=bob' in said
    said = refused(f'{hdfs.url}{place}?user=no%20name', 'open')
    assert said.startswith('USAGE ') and 'user.name' in said


def test_modes_blocks_and_replicas_are_as_asked(hdfs, place, tmp_path):
    hammer(f'{hdfs.url}{place}?permission=640&replication=2&blocksize=2097152', 'put', 'a/b', file_of(tmp_path, 100))
    status = rest(hdfs, 'GET', f'{place}/a/b', 'GETFILESTATUS').json()['FileStatus']
    assert (status['permission'], status['replication'], status['blockSize']) == ('640', 2, 2 << 20)
    assert rest(hdfs, 'GET', f'{place}/a', 'GETFILESTATUS').json()['FileStatus']['permission'] == '750'


def test_over_a_gibibyte_is_refused_both_ways(hdfs, place, front, tmp_path):
    f = front()
    hammer(f.url + place, 'put', 'a', file_of(tmp_path, 10))
    assert refused(f.url + place, 'huge').startswith('TOO_LARGE ')
    f.edit = lambda op, text: text.replace('"length":10,', f'"length":{(1 << 30) + 1},')
    assert refused(f.url + place, 'get', 'a', tmp_path / 'got').startswith('TOO_LARGE artifact a')


def test_temporaries_are_seen_by_nobody_and_removed_after_a_day(hdfs, place):
    url = hdfs.url + place
    hammer(url, 'open')
    for name, age_s in (('put-old', 2 * 86400), ('put-new', 3600), ('another', 2 * 86400)):
        write(hdfs, f'{place}/.tmp/{name}', b'half')
        rest(hdfs, 'PUT', f'{place}/.tmp/{name}', 'SETTIMES', modificationtime=int((time.time() - age_s) * 1000))
    assert hammer(url, 'list', '').stdout == ''
    assert names(hdfs, f'{place}/.tmp') == ['another', 'put-new']


def test_changed_bytes_and_missing_digests_are_corrupt(hdfs, place, tmp_path):
    url = hdfs.url + place
    hammer(url, 'put', 'a', file_of(tmp_path, 100))
    write(hdfs, f'{place}/a', b'other bytes')
    said = refused(url, 'get', 'a', tmp_path / 'got')
    assert said.startswith('CORRUPT artifact a') and 'user.sha256' in said
    rest(hdfs, 'PUT', f'{place}/a', 'SETXATTR', **{'xattr.name': 'user.sha256', 'xattr.value': f'"{SUM}"', 'flag': 'CREATE'})
    assert refused(url, 'get', 'a', tmp_path / 'got').startswith('CORRUPT artifact a')
    write(hdfs, f'{place}/a', b'other')
    rest(hdfs, 'PUT', f'{place}/a', 'SETXATTR', **{'xattr.name': 'user.sha256', 'xattr.value': f'"{SUM}"', 'flag': 'CREATE'})
    hammer(url, 'get', 'a', tmp_path / 'got')
    assert (tmp_path / 'got').read_bytes() == b'other'


def test_large_folders_come_in_pages(hdfs, place):
    """dfs.ls.limit is 5 here."""
    want = sorted(f'd{i % 2}/{i:03}' for i in range(23))
    for path in want:
        write(hdfs, f'{place}/{path}', b'x')
    assert hammer(hdfs.url + place, 'list', '').stdout == ''.join(f'{path} 1\n' for path in want)
    assert hammer(hdfs.url + place, 'list', 'd1/0').stdout.count('\n') == 11


def test_a_gateway_with_a_log_in(hdfs, place, front, tmp_path):
    """As HttpFS and Knox: bytes come from the gateway itself, after the same log-in."""
    f, file = front(), file_of(tmp_path, 100000)
    f.gateway, f.login = True, 'ann:hunter2'
    url = f'{f.url}{place}?user=ann&password='
    for wrong in ('hunter3', ''):
        said = refused(url + wrong, 'open')
        assert said.startswith('USAGE ') and 'log-in was refused' in said and 'hunter' not in said
    hammer(url + 'hunter2', 'put', 'a', file)
    assert same(url + 'hunter2', 'a', file, tmp_path)


def test_a_gateway_that_knows_the_older_rename_only(hdfs, place, front, tmp_path):
    f, file = front(), file_of(tmp_path, 1000)
    f.old_rename = True
    hammer(f.url + place, 'put', 'a/b', file)
    assert same(f.url + place, 'a/b', file, tmp_path)
    assert refused(f.url + place, 'put', 'a/b', file).startswith('EXISTS ')
    # The folder comes between the look and the rename, which then moves the file into it.
    f.edit = lambda op, text: (rest(hdfs, 'PUT', f'{place}/a/c', 'MKDIRS'), text)[1] if op == 'SETXATTR' else text
    assert refused(f.url + place, 'put', 'a/c', file).startswith('CONFLICT ')
    assert names(hdfs, f'{place}/a/c') == [] and names(hdfs, f'{place}/.tmp') == []


def test_a_token_is_sent_and_never_shown(hdfs, place, front):
    f = front()
    hammer(f'{f.url}{place}?token=HgADcm9v', 'open')  # without Kerberos a token is not looked at
    f.before['MKDIRS'] = 100
    said = refused(f'{f.url}{place}?token=HgADcm9v&tries=1', 'open')
    assert said.startswith('AWAY ') and 'HgADcm9v' not in said
    said = refused(f'{f.url}{place}?token=HgADcm9v&unknown=1', 'open')
    assert said.startswith('USAGE ') and 'HgADcm9v' not in said


def authority(folder, name):
    """A certificate of its own and its key."""
    cert, key = folder / f'{name}.pem', folder / f'{name}.key'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext',
                    'subjectAltName=IP:127.0.0.1', '-keyout', str(key), '-out', str(cert)], check=True, capture_output=True)
    return cert, key


def test_tls_by_our_own_authority(hdfs, place, front, tmp_path):
    cert, key = authority(tmp_path, 'ours')
    f, file = front(tls=(cert, key)), file_of(tmp_path, 100000)
    url = f'{f.url}{place}?tls=1'
    assert re.match('(AWAY|REFUSED|USAGE) .*certificate', refused(f'{url}&tries=1', 'open'))
    url += f'&ca={cert}'
    said = refused(url, 'put', 'a', file)  # the DataNode itself has no TLS
    assert said.startswith('IO ') and 'without TLS' in said
    f.gateway = True
    hammer(url, 'put', 'a', file)
    assert same(url, 'a', file, tmp_path)
    assert 'no such file' in refused(f'{f.url}{place}?tls=1&ca=/nowhere.pem', 'open')


def test_a_bad_certificate_is_one_nodes_alone(hdfs, place, front, tmp_path):
    cert, key = authority(tmp_path, 'ours')
    bad, good, file = front(tls=authority(tmp_path, 'strange')), front(tls=(cert, key)), file_of(tmp_path, 100000)
    good.gateway = True
    url = f'webhdfs://{bad.address},{good.address}{place}?tls=1&ca={cert}'
    hammer(url, 'put', 'a', file)
    assert same(url, 'a', file, tmp_path) and not bad.asked
    assert 'certificate' in refused(f'webhdfs://{bad.address}{place}?tls=1&ca={cert}', 'open')


def test_an_odd_answer_of_a_datanode_is_not_the_urls_fault(hdfs, place, front, tmp_path):
    """A 401 that is no WebHDFS answer, as of a proxy before that DataNode: it may pass."""
    f, ill, file = front(), front(), file_of(tmp_path, 1000)
    ill.login = 'nobody:knows'
    f.data = ill.address
    said = refused(f'{f.url}{place}?tries=3', 'put', 'a', file)
    assert said.startswith('AWAY ') and 'HTTP 401' in said


@pytest.mark.parametrize('option,word', [
    ('timeout_ms=1', 'from 300 to'), ('tries=0', 'from 1 to'), ('connections=999', 'from 1 to'), ('piece=1', 'from 4096 to'),
    ('blocksize=5', 'from 1048576 to'), ('replication=0', 'from 1 to'), ('permission=rw', 'octal'), ('password=x', 'needs user'),
    ('user=a&token=b', 'only one of'), ('cert=/x&key=/y', 'tls=1'), ('gateway=knox', 'path'), ('colour=red', 'no option')])
def test_wrong_options_are_refused_at_open(hdfs, place, option, word):
    said = refused(f'{hdfs.url}{place}?{option}', 'open')
    assert said.startswith('USAGE ') and word in said


def test_a_shard_is_read_by_a_plain_get(hdfs, place, tmp_path):
    """What a WebDataset reader does: a tar archive streamed from a URL."""
    shard = tmp_path / 'shard.tar'
    with tarfile.open(shard, 'w') as tar:
        for i in range(3):
            for end, data in (('jpg', os.urandom(500)), ('json', b'{"v":1}')):
                (tmp_path / f'k{i}.{end}').write_bytes(data)
                tar.add(tmp_path / f'k{i}.{end}', f'k{i}.{end}')
    hammer(hdfs.url + place, 'put', 'datasets/shard.tar', shard)
    with requests.get(f'http://{hdfs.url.split("//")[1]}/webhdfs/v1{place}/datasets/shard.tar?op=OPEN', stream=True, timeout=60) as r:
        with tarfile.open(fileobj=r.raw, mode='r|') as tar:
            got = {m.name: tar.extractfile(m).read() for m in tar}
    assert list(got) == [f'k{i}.{end}' for i in range(3) for end in ('jpg', 'json')]
    assert all(data == (tmp_path / name).read_bytes() for name, data in got.items())
