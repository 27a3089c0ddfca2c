# SPDX-License-Identifier: Apache-2.0
"""The servers: for each what it needs, its configuration, how it is started, and when it is ready."""
import getpass
import json
import os
import shlex
import shutil
import socket
import struct
import subprocess
import urllib.request
import xml.sax.saxutils

from . import Trouble, libraries
from .state import HOST

PROBE_S = 5
# Quick starts and little memory count here, not the last bit of speed: half the processor time of a start goes to the
# optimising compiler and to checking released jars.
JVM = ('-XX:+UseSerialGC', '-XX:-UsePerfData', '-XX:TieredStopAtLevel=1', '-XX:+UnlockDiagnosticVMOptions',
       '-XX:-BytecodeVerificationRemote')
USER = 'signloop'  # who logs in where a listener asks for it; the password is the instance's secret


def http(url):
    with urllib.request.urlopen(urllib.request.Request(url, headers={'Accept': 'application/json'}), timeout=PROBE_S) as answer:
        return answer.read()


def bean(address, query):
    """The first bean of a Hadoop daemon's /jmx."""
    return json.loads(http(f'http://{address}/jmx?qry={query}'))['beans'][0]


def ask(port, request, at_least):
    """Sends the bytes and gives the first of the answer; a server that only accepts does not pass."""
    with socket.create_connection((HOST, port), timeout=PROBE_S) as s:
        s.sendall(request)
        answer = b''
        while len(answer) < at_least:
            piece = s.recv(4096)
            if not piece:
                raise OSError('closed by the server')
            answer += piece
        return answer


def xml_file(path, values):
    rows = ''.join(f'  <property><name>{name}</name><value>{xml.sax.saxutils.escape(str(value))}</value></property>\n'
                   for name, value in values.items())
    path.write_text(f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n', encoding='utf-8')


class Server:
    name = ''
    needs = ()
    ports = ()  # what it listens on
    lent = ()  # what it advertises, where a test's proxy may listen
    start_s = 180  # it is given up when it is not ready by then
    stop_s = 30  # it is killed when it has not ended by then
    broken = ()  # text in its log that says that it is of no use any more though its process lives

    def __init__(self, state):
        self.state = state

    def dir(self, *parts):
        return self.state.dir(self.name, *parts)

    def configured(self, values):
        """The configuration with what `up --set` said."""
        return {**values, **self.state.settings(self.name)}

    library = ''  # what fetch() gets
    by = 'pip'  # and from where

    def fetch(self, say):
        """Gets its program if it is not there."""
        raise NotImplementedError

    def prepare(self, say):
        """Makes what it needs before it can be started; gives its command line."""
        raise NotImplementedError

    def probe(self, process):
        """True when it serves; False or an OSError when not yet."""
        raise NotImplementedError

    def env(self):
        """The variables by which the tests find it."""
        return {}


class JavaServer(Server):
    by = 'Maven'
    heap_mb = 256
    options = ()

    def fetch(self, say):
        program = libraries.java()
        if libraries.java_version(program) < libraries.JAVA_MIN:
            raise Trouble(f'{program} is older than Java {libraries.JAVA_MIN}: install openjdk-17-jre-headless or set JAVA_HOME')
        libraries.jars(self.state.lib, self.library, say)

    def java(self, say, main, conf=None):
        jars = libraries.jars(self.state.lib, self.library, say)
        return [libraries.java(), f'-Xmx{self.heap_mb}m', *JVM, '-Djava.net.preferIPv4Stack=true',
                f'-Djava.io.tmpdir={self.dir("tmp")}', f'-Dlog4j.configuration=file:{libraries.HERE / "log4j.properties"}',
                *self.options, *shlex.split(os.environ.get('SIGNLOOP_SERVERS_JAVA', '')), '-cp', f'{conf}:{jars}/*' if conf else f'{jars}/*', *main]

    def run_once(self, say, main, what, conf=None):
        """Runs a tool of the same jars to its end, its output in the server's log."""
        with open(self.dir() / 'log', 'ab') as log:
            if subprocess.run(self.java(say, main, conf), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              cwd=self.dir(), check=False).returncode:
                raise Trouble(f'{self.name}: {what} failed: see {log.name}')


class Kafka(JavaServer):
    name = 'kafka'
    ports = ('kafka', 'kafka-sasl', 'kafka-controller', 'kafka-behind')
    lent = ('kafka-proxy',)
    library = 'kafka'

    def prepare(self, say):
        s = self.state
        # A client goes on at the address that the broker advertises, so a proxy needs a listener of its own behind it.
        listeners = {'PLAINTEXT': 'kafka', 'SASL_PLAINTEXT': 'kafka-sasl', 'PROXIED': 'kafka-behind',
                     'CONTROLLER': 'kafka-controller'}
        at = {name: f'{name}://{s.address(port)}' for name, port in listeners.items()}
        advertised = [at['PLAINTEXT'], at['SASL_PLAINTEXT'], f'PROXIED://{s.address("kafka-proxy")}']
        file = self.dir('conf') / 'server.properties'
        values = self.configured({
            'process.roles': 'broker,controller',
            'node.id': 1,
            'controller.quorum.voters': f'1@{s.address("kafka-controller")}',
            'controller.listener.names': 'CONTROLLER',
            'listeners': ','.join(at.values()),
            'advertised.listeners': ','.join(advertised),
            'listener.security.protocol.map':
                'PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
            'inter.broker.listener.name': 'PLAINTEXT',
            'sasl.enabled.mechanisms': 'PLAIN',
            'listener.name.sasl_plaintext.plain.sasl.jaas.config':
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{s.secret}";',
            'log.dirs': self.dir('data'),
            # A topic is there when somebody asked for it, with the partitions that were asked for.
            'auto.create.topics.enable': 'false',
            'num.partitions': 1,
            'default.replication.factor': 1,
            'min.insync.replicas': 1,
            'offsets.topic.replication.factor': 1,
            'offsets.topic.num.partitions': 4,
            'transaction.state.log.replication.factor': 1,
            'transaction.state.log.min.isr': 1,
            'transaction.state.log.num.partitions': 4,
            # Tests have many small topics and short-lived groups, and kill the broker.
            'group.initial.rebalance.delay.ms': 0,
            'group.min.session.timeout.ms': 1000,
            'log.segment.bytes': 16 << 20,
            'log.preallocate': 'false',
            'log.index.size.max.bytes': 1 << 20,
            'log.segment.delete.delay.ms': 1000,
            'log.cleaner.dedupe.buffer.size': 8 << 20,
            'num.recovery.threads.per.data.dir': 2,
            'broker.session.timeout.ms': 4000,
            'broker.heartbeat.interval.ms': 500,
            'num.network.threads': 2,
            'num.io.threads': 4,
            'message.max.bytes': 4 << 20,
            'replica.fetch.max.bytes': 4 << 20,
        })
        file.write_text(''.join(f'{k}={v}\n' for k, v in values.items()), encoding='utf-8')
        if not (self.dir('data') / 'meta.properties').exists():
            self.run_once(say, ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', 'c2lnbmxvb3AtZGV2LTAwMQ',
                                '-c', str(file)], 'formatting its folder')
        return self.java(say, ['kafka.Kafka', str(file)])

    def probe(self, process):
        # ApiVersions, version 0, with a null client: every broker answers it before anything else.
        ask(self.state.port('kafka'), struct.pack('>ihhih', 10, 18, 0, 1, -1), 10)
        return process.ready or process.said('Kafka Server started')

    def env(self):
        sasl = f'{USER}:{self.state.secret}@{self.state.address("kafka-sasl")}'
        return {'SIGNLOOP_TEST_KAFKA': f'kafka://{self.state.address("kafka")}',
                'SIGNLOOP_TEST_KAFKA_SASL': f'kafka://{sasl}?security=sasl_plaintext&mechanism=PLAIN'}


class Hdfs(JavaServer):
    library = 'hdfs'
    heap_mb = 192
    options = ('--add-opens', 'java.base/java.lang=ALL-UNNAMED')

    def conf(self):
        """Writes the folder of both daemons' configuration: this one's."""
        s, conf = self.state, self.dir('conf')
        for app in ('hdfs', 'datanode', 'static'):  # the daemons want the folders of their web pages; the jars have none
            (conf / 'webapps' / app).mkdir(parents=True, exist_ok=True)
        xml_file(conf / 'core-site.xml', {
            'fs.defaultFS': f'hdfs://{s.address("namenode")}',
            'hadoop.tmp.dir': self.dir('tmp'),
            'hadoop.http.staticuser.user': getpass.getuser(),
        })
        xml_file(conf / 'hdfs-site.xml', self.configured({
            'dfs.replication': 1,
            'dfs.namenode.name.dir': f'file://{s.folder}/namenode/data',
            'dfs.datanode.data.dir': f'file://{s.folder}/datanode/data',
            'dfs.namenode.rpc-address': s.address('namenode'),
            'dfs.namenode.http-address': s.address('webhdfs'),
            'dfs.datanode.hostname': HOST,
            'dfs.datanode.address': s.address('datanode'),
            'dfs.datanode.http.address': s.address('datanode-http'),
            'dfs.datanode.http.internal-proxy.port': s.port('datanode-internal'),
            'dfs.datanode.ipc.address': s.address('datanode-ipc'),
            'dfs.namenode.datanode.registration.ip-hostname-check': 'false',
            'dfs.permissions.enabled': 'false',
            'dfs.namenode.safemode.extension': 0,
            'dfs.client.block.write.replace-datanode-on-failure.enable': 'false',
            'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': 50,
            'dfs.namenode.handler.count': 6,
            'dfs.datanode.handler.count': 4,
            # A lost daemon is noticed, and one that is back is used, in seconds.
            'dfs.heartbeat.interval': 1,
            'dfs.namenode.heartbeat.recheck-interval': 5000,
        }))
        return conf


class NameNode(Hdfs):
    name = 'namenode'
    ports = ('namenode', 'webhdfs')

    def prepare(self, say):
        conf, main = self.conf(), 'org.apache.hadoop.hdfs.server.namenode.NameNode'
        if not (self.dir('data') / 'current' / 'VERSION').exists():
            for old in (self.dir('data'), self.state.dir('datanode', 'data')):
                shutil.rmtree(old)
            self.run_once(say, [main, '-format', '-nonInteractive'], 'formatting the file system', conf)
        return self.java(say, [main], conf)

    def probe(self, process):
        return bool(http(f'http://{self.state.address("webhdfs")}/webhdfs/v1/?op=GETFILESTATUS'))

    def env(self):
        return {'SIGNLOOP_TEST_WEBHDFS': f'webhdfs://{self.state.address("webhdfs")}'}


class DataNode(Hdfs):
    name = 'datanode'
    needs = ('namenode',)
    ports = ('datanode', 'datanode-http', 'datanode-ipc', 'datanode-internal')

    def prepare(self, say):
        return self.java(say, ['org.apache.hadoop.hdfs.server.datanode.DataNode'], self.conf())

    def probe(self, process):
        # It serves when it has registered itself and the NameNode has left safe mode for its blocks.
        info = bean(self.state.address('datanode-http'), 'Hadoop:service=DataNode,name=DataNodeInfo')
        actors = json.loads(info['BPServiceActorInfo'])
        if not actors or actors[0]['ActorState'] != 'RUNNING':
            return False
        names = bean(self.state.address('webhdfs'), 'Hadoop:service=NameNode,name=FSNamesystemState')
        return names['FSState'] == 'Operational' and names['NumLiveDataNodes'] == 1


class HBaseServer(JavaServer):
    library = 'hbase'
    options = ('-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true', '--add-modules', 'jdk.unsupported',
               *(word for package in ('java.nio', 'sun.nio.ch', 'java.lang', 'jdk.internal.ref', 'java.lang.reflect',
                                      'java.util', 'java.util.concurrent', 'jdk.internal.util.random')
                 for word in ('--add-opens', f'java.base/{package}=ALL-UNNAMED')),
               '--add-exports', 'java.base/jdk.internal.misc=ALL-UNNAMED',
               '--add-exports', 'java.security.jgss/sun.security.krb5=ALL-UNNAMED')

    more = {}

    def conf(self):
        s, conf = self.state, self.dir('conf')
        xml_file(conf / 'hbase-site.xml', self.configured({
            **self.more,
            'hbase.rootdir': f'hdfs://{s.address("namenode")}/hbase',
            'hbase.cluster.distributed': 'false',
            'hbase.tmp.dir': self.dir('tmp'),
            'dfs.replication': 1,
            'hbase.zookeeper.quorum': HOST,
            'hbase.zookeeper.property.clientPort': s.port('zookeeper'),
            'hbase.zookeeper.property.dataDir': s.folder / 'hbase' / 'zookeeper',
            'hbase.master.hostname': 'localhost',
            'hbase.master.ipc.address': HOST,
            'hbase.master.port': s.port('hbase-master'),
            'hbase.master.info.port': -1,
            'hbase.unsafe.regionserver.hostname': 'localhost',
            'hbase.regionserver.ipc.address': HOST,
            'hbase.regionserver.port': s.port('hbase-region'),
            'hbase.regionserver.info.port': -1,
            'hbase.regionserver.handler.count': 12,
            # The only DataNode or the NameNode may be away for minutes: the log is rolled again until they are back, where
            # the default is to end the server at the first failure and to shun a DataNode that failed for hours.
            'hbase.regionserver.async.wal.max.exclude.datanode.count': 0,
            'hbase.regionserver.logroll.retries': 10000,
            'hbase.regionserver.logroll.wait.timeout.ms': 600000,
            'ipc.client.connect.max.retries': 300,
            'hbase.rest.host': HOST,
            'hbase.rest.port': s.port('rest'),
            'hbase.rest.info.port': -1,
            'hbase.rest.threads.max': 24,
        }))
        return conf


class HBase(HBaseServer):
    """Master, region server and ZooKeeper in one process."""
    name = 'hbase'
    needs = ('datanode',)
    ports = ('zookeeper', 'hbase-master', 'hbase-region')
    heap_mb = 512
    start_s = 300
    stop_s = 45
    broken = ('ABORTING master', 'ABORTING region server')

    def prepare(self, say):
        return self.java(say, ['-XX:MaxDirectMemorySize=256m', 'org.apache.hadoop.hbase.master.HMaster', 'start'], self.conf())

    def probe(self, process):
        for port in ('hbase-master', 'hbase-region'):
            socket.create_connection((HOST, self.state.port(port)), timeout=PROBE_S).close()
        return process.ready or process.said('Master has completed initialization')


class Rest(HBaseServer):
    name = 'rest'
    needs = ('hbase',)
    ports = ('rest',)
    heap_mb = 192
    # It gives up before those who ask it do: else its threads hang for minutes when HBase was away.
    more = {'hbase.client.operation.timeout': 4000, 'hbase.client.meta.operation.timeout': 4000, 'hbase.rpc.timeout': 2000,
            'hbase.client.retries.number': 5}

    def prepare(self, say):
        return self.java(say, ['-XX:MaxDirectMemorySize=128m', 'org.apache.hadoop.hbase.rest.RESTServer', 'start'], self.conf())

    def probe(self, process):
        return json.loads(http(f'http://{self.state.address("rest")}/status/cluster')).get('DeadNodes') is not None

    def env(self):
        return {'SIGNLOOP_TEST_HBASE': f'hbase://{self.state.address("rest")}'}


class MongoDb(Server):
    """SecantusDB. --set mongodb.FLAG=VALUE gives it that flag: mongodb.enable-test-commands=true allows failCommand,
    mongodb.auth=true asks for the user that is made at the first start."""
    name = 'mongodb'
    ports = ('mongodb',)
    stop_s = 15
    library = 'mongodb'
    HELLO = (lambda doc: struct.pack('<iiiiIB', 21 + len(doc), 1, 0, 2013, 0, 0) + doc)(
        (lambda body: struct.pack('<i', 5 + len(body)) + body + b'\0')(
            b'\x10hello\0' + struct.pack('<i', 1) + b'\x02$db\0' + struct.pack('<i', 6) + b'admin\0'))

    def argv(self, folder, flags):
        values = {'host': HOST, 'port': self.state.port('mongodb'), 'storage-path': self.dir('data'), 'cache-size': '256M',
                  'log-level': 'WARNING', 'sync-on-commit': 'true', **flags}
        words = [[f'--{k}'] if v == 'true' else [f'--{k}', str(v)] for k, v in values.items() if v != 'false']
        return [str(folder / 'bin' / 'python'), str(folder / 'bin' / 'secantusd-py'), *sum(words, [])]

    def fetch(self, say):
        libraries.venv(self.state.lib, self.library, say)

    def prepare(self, say):
        folder, flags = libraries.venv(self.state.lib, self.library, say), self.state.settings(self.name)
        made = self.dir() / 'user-made'
        if flags.get('auth') == 'true' and not made.exists():
            self.make_user(folder, {**flags, 'auth': 'false'})
            made.touch()
        return self.argv(folder, flags)

    def make_user(self, folder, flags):
        """A user can only be made while nobody is asked who they are."""
        script = ('import pymongo, sys; pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=30000).admin.command('
                  '"createUser", sys.argv[2], pwd=sys.argv[3], roles=["root"])')
        with open(self.dir() / 'log', 'ab') as log:
            server = subprocess.Popen(self.argv(folder, flags), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                made = subprocess.run([str(folder / 'bin' / 'python'), '-c', script, f'mongodb://{self.state.address("mongodb")}/',
                                       USER, self.state.secret], stdout=log, stderr=log, check=False).returncode == 0
            finally:
                server.terminate()
                server.wait()
        if not made:
            raise Trouble(f'mongodb: its user could not be made: see {self.dir() / "log"}')

    def probe(self, process):
        return bool(ask(self.state.port('mongodb'), self.HELLO, 16))

    def env(self):
        auth = self.state.settings(self.name).get('auth') == 'true'
        who, source = (f'{USER}:{self.state.secret}@', '&authSource=admin') if auth else ('', '')
        return {'SIGNLOOP_TEST_MONGODB': f'mongodb://{who}{self.state.address("mongodb")}/?replicaSet=secantus{source}'}


KINDS = {kind.name: kind for kind in (Kafka, NameNode, DataNode, HBase, Rest, MongoDb)}
GROUPS = {'hdfs': ('namenode', 'datanode'), 'all': tuple(KINDS)}
