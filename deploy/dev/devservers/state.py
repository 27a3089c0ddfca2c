# SPDX-License-Identifier: Apache-2.0
"""One instance of the servers: a folder, a block of ports, the settings that it was started with."""
import contextlib
import fcntl
import json
import os
import pathlib
import random
import secrets
import socket

from . import Trouble

BASE = 29000
# Each name has one port: base + its place here.
PORTS = ('kafka', 'kafka-sasl', 'kafka-controller', 'namenode', 'webhdfs', 'datanode', 'datanode-http', 'datanode-ipc',
         'datanode-internal', 'zookeeper', 'hbase-master', 'hbase-region', 'rest', 'mongodb', 'kafka-behind', 'kafka-proxy')
BLOCK = 20
FREE_BASES = range(20000, 29000, BLOCK)  # where --port-base 0 looks: below the kernel's own choices
HOST = '127.0.0.1'


@contextlib.contextmanager
def lock(path, waiting=lambda: None):
    """Holds the lock file; calls waiting() once where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='ascii') as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def write(path, text):
    """Replaces the file as a whole; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + '.new')
    new.write_text(text, encoding='utf-8')
    new.replace(path)


class State:
    """The folder: state.json, NAME/{process.json,log,conf,data,tmp}, and lib where no other is named."""

    def __init__(self, folder, lib=None):
        self.folder = pathlib.Path(folder).absolute()
        self.lib = pathlib.Path(lib).absolute() if lib else self.folder / 'lib'
        self.file = self.folder / 'state.json'
        self.told = json.loads(self.file.read_text(encoding='utf-8')) if self.file.exists() else {}

    def open(self, base, settings):
        """Takes the folder into use, or goes on with it. base: None: as before, else BASE; 0: any free block."""
        before = self.told.get('base')
        if before and base and base != before:
            raise Trouble(f'{self.folder} has data of servers at port {before}: use another --state, or remove the folder')
        if not before:
            self.told = {'base': self.free_base() if base == 0 else base or BASE, 'secret': secrets.token_hex(8), 'set': {}}
        for name, values in settings.items():
            self.told['set'].setdefault(name, {}).update(values)
        self.save()

    def save(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.file, json.dumps(self.told, indent=1))

    def free_base(self):
        """A block whose ports are free and that no other state folder that uses the same lib has taken."""
        claims = self.lib / 'ports'
        claims.mkdir(parents=True, exist_ok=True)
        with lock(self.lib / 'ports.lock'):
            taken = set()
            for claim in claims.iterdir():
                if (pathlib.Path(claim.read_text(encoding='utf-8')) / 'state.json').exists():
                    taken.add(int(claim.name))
                else:
                    claim.unlink()
            for base in random.sample(FREE_BASES, len(FREE_BASES)):
                if base not in taken and all(is_free(base + i) for i in range(len(PORTS))):
                    (claims / str(base)).write_text(str(self.folder), encoding='utf-8')
                    self.told = {'base': base, 'secret': secrets.token_hex(8), 'set': {}}
                    self.save()  # the claim holds from now on
                    return base
        raise Trouble(f'no {len(PORTS)} free ports in a row from {FREE_BASES.start} to {FREE_BASES.stop}: stop other servers')

    def port(self, name):
        return self.told['base'] + PORTS.index(name)

    def address(self, name):
        return f'{HOST}:{self.port(name)}'

    def settings(self, server):
        return self.told.get('set', {}).get(server, {})

    @property
    def secret(self):
        return self.told['secret']

    def dir(self, server, *parts):
        path = self.folder.joinpath(server, *parts)
        path.mkdir(parents=True, exist_ok=True)
        return path


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError:
            return False
        return True


def holder(port):
    """Who listens on the port, in words: 'pid 12 (java ...)'."""
    inodes = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        with contextlib.suppress(OSError), open(table, encoding='ascii') as f:
            for row in list(f)[1:]:
                field = row.split()
                if field[3] == '0A' and int(field[1].rsplit(':', 1)[1], 16) == port:
                    inodes.add(f'socket:[{field[9]}]')
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            for fd in os.scandir(f'/proc/{pid}/fd'):
                if os.readlink(fd.path) in inodes:
                    with open(f'/proc/{pid}/cmdline', 'rb') as f:
                        line = f.read().replace(b'\0', b' ').decode(errors='replace')
                    return f'pid {pid} ({line if len(line) < 100 else line[:50] + " ... " + line[-50:]})'.replace(' )', ')')
    return 'a process of another user' if inodes else 'a process that does not listen yet or any more'
