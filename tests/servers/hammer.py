# SPDX-License-Identifier: Apache-2.0
"""A process of tests/contract/hammer_*.c that calls a store for ever from many threads and writes a line for each answer."""
import os
import pathlib
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('SIGNLOOP_BUILD', ROOT / 'build')).absolute()


class Hammer:
    """Calls until stop(). take(word, rest) of a subclass gets each line and keeps it in .acknowledged or .failures."""

    def __init__(self, program, mode, url, threads, seconds):
        self.seconds = seconds  # how long a wait may take
        self.changed = threading.Condition()
        self.acknowledged, self.failures, self.ended = set(), [], False
        self.process = subprocess.Popen([program_path(program), mode, url, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def take(self, word, rest):
        raise NotImplementedError

    def _read(self):
        for line in self.process.stdout:
            word, _, rest = line.rstrip('\n').partition(' ')
            with self.changed:
                self.take(word, rest)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, check, what):
        with self.changed:
            self.changed.wait_for(lambda: check() or self.ended, self.seconds)
            assert check(), f'{what} did not happen{" before it ended" if self.ended else ""}: {self.failures[-3:]}'

    def goes_on(self, more):
        start = len(self.acknowledged)
        self.wait(lambda: len(self.acknowledged) >= start + more, f'{more} more acknowledged')

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(self.seconds) == 0
        self.reader.join()
        return self

    def close(self):
        self.process.kill()
        self.process.wait()


def program_path(program):
    return BUILD / 'tests' / 'contract' / program


def verify(program, url, lines, seconds):
    """Reads back what was acknowledged; the finished process."""
    return subprocess.run([program_path(program), 'verify', url], input=''.join(f'{l}\n' for l in lines), capture_output=True,
                          text=True, timeout=seconds, check=False)
