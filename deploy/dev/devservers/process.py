# SPDX-License-Identifier: Apache-2.0
"""A server's process: started in a session of its own, recorded in NAME/process.json, and signalled only after the
record was compared with what runs under that pid: the same command line, started at the same moment."""
import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import time

from .state import write

THAW_S = 2
LOG_MAX = 16 << 20  # a longer log is set aside when its server is started


def stat(pid):
    """(state letter, start time in ticks since boot), or None."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as f:
            field = f.read().rpartition(')')[2].split()
        return field[0], int(field[19])
    except OSError:
        return None


def command_line(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().decode(errors='surrogateescape').split('\0')[:-1]
    except OSError:
        return []


class Process:
    """What NAME/process.json records; .alive says whether that very process still runs."""

    def __init__(self, folder):
        self.file = folder / 'process.json'
        self.log = folder / 'log'
        self.told = {}
        with contextlib.suppress(OSError):
            self.told = json.loads(self.file.read_text(encoding='utf-8'))
        self.pid = self.told.get('pid')

    def start(self, argv, env, cwd):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_MAX:
            self.log.replace(self.log.with_name('log.1'))
        with open(self.log, 'ab') as out:
            log_from = out.tell()
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd,
                                     start_new_session=True)
        self.pid = child.pid
        while command_line(child.pid) != argv and child.poll() is None:
            time.sleep(0.001)  # for a moment after its start a program has no command line yet
        state = stat(child.pid)
        self.told = {'pid': child.pid, 'start': state[1] if state else 0, 'argv': argv, 'log_from': log_from,
                     'since': time.time(), 'ready': False}
        self.save()
        # The server outlives this tool; whoever adopts it reaps it.
        child.returncode = 0

    def save(self):
        write(self.file, json.dumps(self.told, indent=1))

    def set_ready(self):
        if not self.told.get('ready'):
            self.told['ready'] = True
            self.save()

    @property
    def ready(self):
        return self.told.get('ready', False)

    @property
    def alive(self):
        if not self.pid:
            return False
        state = stat(self.pid)
        return bool(state and state[0] not in 'ZX' and state[1] == self.told['start']
                    and command_line(self.pid) == self.told['argv'])

    @property
    def frozen(self):
        return self.alive and (stat(self.pid) or ('',))[0] == 'T'

    def signal(self, number):
        """False when it does not run. The pid cannot come to mean another process between the check and the signal."""
        if not self.pid:
            return False
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(fd, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)

    def thaw(self):
        """Until its main thread waits again: what is signalled to one that only begins to go on may reach another thread,
        and Python's then does nothing about it."""
        if not self.frozen:
            return
        self.signal(signal.SIGCONT)
        end = time.monotonic() + THAW_S
        while (stat(self.pid) or ('S',))[0] != 'S' and time.monotonic() < end:
            time.sleep(0.01)

    def wait_gone(self, seconds):
        """Whether it has ended within that time."""
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            return True
        try:
            if not self.alive:
                return True
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            return bool(poll.poll(seconds * 1000)) or not self.alive
        finally:
            os.close(fd)

    def forget(self):
        self.file.unlink(missing_ok=True)
        self.told, self.pid = {}, None

    def said(self, text):
        """Whether its log holds the text since this start."""
        try:
            with open(self.log, 'rb') as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                return m.find(text.encode(), self.told.get('log_from', 0)) >= 0
        except (OSError, ValueError):  # no log, or an empty one
            return False

    def last_lines(self, n):
        try:
            with open(self.log, 'rb') as f:
                f.seek(max(self.told.get('log_from', 0), os.fstat(f.fileno()).st_size - 8192))
                return f.read().decode(errors='replace').splitlines()[-n:]
        except OSError:
            return []

    def resident_mb(self):
        with contextlib.suppress(OSError), open(f'/proc/{self.pid}/statm', encoding='ascii') as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20
        return 0
