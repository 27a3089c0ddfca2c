# SPDX-License-Identifier: Apache-2.0
"""What the servers are made of: jars by Maven, one Python package by pip. Resolved once into a folder whose name carries
the digest of its pom or requirements, under a lock; instances share it."""
import contextlib
import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
import time

from . import Trouble
from .state import lock

HERE = pathlib.Path(__file__).resolve().parent.parent
COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
TRIES = 3  # a download that breaks off is taken up again
PROGRESS_S = 2  # the first line of progress; each next one when twice that time has gone by
JAVA_MIN = 17


def java():
    """The java program; its version is checked once a process."""
    home = os.environ.get('JAVA_HOME')
    program = str(pathlib.Path(home) / 'bin' / 'java') if home else shutil.which('java')
    if not program or not os.access(program, os.X_OK):
        raise Trouble('no java: install openjdk-17-jre-headless (make servers does)')
    return program


def java_version(program):
    out = subprocess.run([program, '-XshowSettings:properties', '-version'], capture_output=True, text=True, check=False).stderr
    for line in out.splitlines():
        if 'java.specification.version' in line:
            return int(line.split('=')[1].strip().split('.')[0])
    return 0


def watch(argv, log, say, what, count):
    """Runs it with its output in the log and lines of progress; gives the exit status."""
    with open(log, 'ab') as out:
        start, told = time.monotonic(), PROGRESS_S
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            while True:
                try:
                    return child.wait(max(0, start + told - time.monotonic()))
                except subprocess.TimeoutExpired:
                    told *= 2
                    say(f'{what}: {time.monotonic() - start:.0f} s{count()}')
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


def resolve(lib, name, source, say, make):
    """The folder lib/NAME-DIGEST, made by make(folder, log) if it is not there whole."""
    digest = hashlib.sha256((HERE / source).read_bytes()).hexdigest()[:8]
    folder = lib / f'{name}-{digest}'
    done = folder / '.done'
    if done.exists():
        return folder
    # Maven's own repository is not made for two at once: one lock for all the jars.
    held = lib / ('maven.lock' if source.endswith('.xml') else f'{name}.lock')
    with lock(held, lambda: say('waits for another download')):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder, lib / f'{name}.log')
            done.touch()
    return folder


def jars(lib, name, say):
    """The folder of the jars that pom/NAME.xml asks for."""
    source = f'pom/{name}.xml'

    def make(folder, log):
        mvn = shlex.split(os.environ.get('MVN', 'mvn'))
        if not shutil.which(mvn[0]):
            raise Trouble('no mvn: install maven (make servers does)')
        log.unlink(missing_ok=True)
        argv = mvn + ['-B', '-f', str(HERE / source), COPY, f'-DoutputDirectory={folder}', '-DincludeScope=runtime']

        def fetched():
            with contextlib.suppress(OSError):
                n = log.read_bytes().count(b'Downloaded from')
                return f', {n} files fetched' if n else ''
            return ''
        say('its jars come by Maven')
        for _ in range(TRIES):
            if watch(argv, log, say, 'Maven', fetched) == 0:
                return
        raise Trouble(f'Maven could not get the jars of {name}: see {log}')
    return resolve(lib, name, source, say, make)


def venv(lib, name, say):
    """The virtual environment with what requirements.txt pins."""
    def make(folder, log):
        log.unlink(missing_ok=True)
        say('its Python packages come by pip')
        steps = (['python3', '-m', 'venv', str(folder)],
                 [str(folder / 'bin' / 'pip'), 'install', '--disable-pip-version-check', '--no-input', '--no-compile', '-r',
                  str(HERE / 'requirements.txt')])
        for step in steps:
            if watch(step, log, say, 'pip', lambda: '') != 0:
                raise Trouble(f'could not install the Python packages of {name} (python3-venv is needed): see {log}')
    return resolve(lib, name, 'requirements.txt', say, make)
