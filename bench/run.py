#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benches in turns and prints one table of medians; called by bench/run.sh. bench/README.md says how to read it."""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf('SC_CLK_TCK')
PAGE = os.sysconf('SC_PAGE_SIZE')
PACED = 500  # votes a second: what some thousand people do


class Plan:
    """How long; a full run takes some four minutes, a short one half of one."""

    def __init__(self, short):
        self.rounds = 1 if short else 5
        self.frames = 8 if short else 24
        self.pipeline_s = 2 if short else 4
        self.store_s = 1 if short else 2
        self.votes = 500 if short else 2000
        self.load_s = 10 if short else 60


class Table:
    """Values by row, added in any order; printed in the order in which rows were first seen."""

    def __init__(self):
        self.rows = {}

    def add(self, what, unit, value, goal=''):
        self.rows.setdefault(what, (unit, goal, []))[2].append(value)

    def show(self):
        def text(v):
            return f'{v:,.0f}' if abs(v) >= 1000 else f'{v:.1f}' if abs(v) >= 10 else f'{v:.2f}'

        print('\n| what | median | lowest to highest | unit | goal |\n|---|---|---|---|---|')
        for what, (unit, goal, v) in self.rows.items():
            spread = f'{text(min(v))} to {text(max(v))}' if len(v) > 1 else ''
            print(f'| {what} | {text(statistics.median(v))} | {spread} | {unit} | {goal} |')


def call(*args, **kw):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if p.returncode:
        sys.exit(f'bench: {" ".join(map(str, args))}: exit {p.returncode}\n{p.stdout}{p.stderr}')
    return p.stdout


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, b''


class Up:
    """`signloop up` on a data folder. ready_s: from its start until it says that it is ready."""

    def __init__(self, build, data, *args):
        from_s = time.monotonic()
        self.p = subprocess.Popen([str(build / 'signloop'), 'up', '--data', str(data), '--listen', '127.0.0.1:0', *args],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.search(r'http://\S+', self.p.stdout.readline())
        if not found:
            sys.exit('bench: signloop up did not start')
        self.url = found.group(0)
        while get(self.url + '/v2/health/ready')[0] != 200:
            time.sleep(0.005)
        self.ready_s, self.ready_cpu_s = time.monotonic() - from_s, self.cpu_s()

    def cpu_s(self):
        fields = pathlib.Path(f'/proc/{self.p.pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_mb(self):
        return int(pathlib.Path(f'/proc/{self.p.pid}/statm').read_text().split()[1]) * PAGE / 1e6

    def stop(self):
        self.p.terminate()
        self.p.wait(60)
        self.p.stdout.close()


def pipeline(build, plan, frames, table):
    out = call(build / 'bench' / 'pipeline_bench', '--bundle', next((ROOT / 'models').glob('*.bundle')), '--seconds',
               plan.pipeline_s, *frames)
    wall, cpu = map(float, re.search(r'([\d.]+) frames/s on one core \(([\d.]+) by CPU', out).groups())
    table.add('frames, one core, 1360x800', 'frames/s', wall)
    table.add('frames, one core, 1360x800, by CPU time', 'frames/s', cpu, '>= 15')
    for name, ms, share in re.findall(r'^  (\w+) +([\d.]+) ms +([\d.]+) %', out, re.M):
        table.add(f'- {name}', 'ms a frame', float(ms))
        table.add(f'- {name}, share', '%', float(share))


def nets(build, table):
    out = call(build / 'bench' / 'nn_bench')
    for name, kind, best, cpu in re.findall(r'^(\w[\w ]*?) +(f32|bf16) +([\d.]+) ms best +[\d.]+ median +([\d.]+) CPU', out, re.M):
        table.add(f'net {name}, {kind}', 'ms, best', float(best))
        table.add(f'net {name}, {kind}, CPU', 'ms', float(cpu))


def store(build, plan, folder, table):
    out = call(build / 'bench' / 'store_bench', '--part', 'reviews', '--seconds', plan.store_s, folder)
    first = re.search(r'first lease after opening: ([\d.]+) ms', out)
    table.add('store: the first review after opening, 100,000 open', 'ms', float(first.group(1)))
    for name, rate, p50, p99, cpu in re.findall(r'^ *([a-z][\w, ]*?) +\d+ +(\d+) +([\d.]+) +([\d.]+) +[\d.]+ +([\d.]+)$', out, re.M):
        if name == 'lease, then vote':
            table.add('store: next review, then vote, 64 callers', 'pairs/s', float(rate))
            table.add('store: the same, CPU', 'us a pair', float(cpu))
        elif name == 'of it the lease':
            table.add('store: next review, p50', 'ms', float(p50))
            table.add('store: next review, p99, 100,000 open', 'ms', float(p99), '<= 20')
        elif name == 'vote':
            table.add('store: votes, 64 callers', 'votes/s', float(rate), '>= 2,000')
            table.add('store: a vote, p99', 'ms', float(p99))


def votes(build, plan, up, table):
    """64 voters over HTTP, at 100,000 open reviews; they share the machine with the server. First as fast as they are
    answered, then at a rate that leaves the machine some room."""
    drive = [build / 'signloop', 'drive', '--to', up.url, '--votes', plan.votes, '--voters', 64, '--json']
    cpu = up.cpu_s()
    r = json.loads(call(*drive, '--rate', 0))
    table.add('HTTP: votes, 64 voters', 'votes/s', r['per_s'])
    table.add('HTTP: next review, p50', 'ms', r['next_ms']['p50'])
    table.add('HTTP: next review, p99', 'ms', r['next_ms']['p99'])
    table.add('HTTP: a vote, p50', 'ms', r['ms']['p50'])
    table.add('HTTP: a vote, p99', 'ms', r['ms']['p99'])
    us = (up.cpu_s() - cpu) / max(r['sent'], 1) * 1e6
    table.add('HTTP: next and vote, CPU of the server', 'us', us)
    table.add('HTTP: votes by CPU time of the server', 'votes/s a core', 1e6 / us, '>= 2,000')
    r = json.loads(call(*drive, '--rate', PACED))
    table.add(f'HTTP at {PACED} votes/s: next review, p50', 'ms', r['next_ms']['p50'])
    table.add(f'HTTP at {PACED} votes/s: next review, p99, 100,000 open', 'ms', r['next_ms']['p99'], '<= 20')


def start(build, folder, table):
    data = folder / 'empty'
    up = Up(build, data)
    table.add('up: empty folder to ready', 's', up.ready_s)
    table.add('up: empty folder to ready, CPU', 's', up.ready_cpu_s)
    up.stop()
    up = Up(build, data)
    table.add('up: again to ready', 's', up.ready_s)
    up.stop()
    shutil.rmtree(data)


def load(build, plan, folder, table):
    """Frames as fast as they are answered, and voters beside: memory over time, frames of the whole machine."""
    up = Up(build, folder / 'load', '--reviews-cap', '3')
    sizes, ending = [], threading.Event()

    def watch():
        while not ending.wait(0.25):
            sizes.append(up.memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    drive = [str(build / 'signloop'), 'drive', '--to', up.url, '--duration', str(plan.load_s), '--json']
    cpu = up.cpu_s()
    voters = subprocess.Popen([*drive, '--votes', '100000000', '--voters', '8', '--rate', '100'], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    r = json.loads(call(*drive, '--demo', '--rate', '0', '--cars', '4'))
    voters.wait()
    ending.set()
    watcher.join()
    cpu = up.cpu_s() - cpu
    table.add('up under load: frames', 'frames/s', r['per_s'])
    table.add('up under load: frames by CPU time of the server', 'frames/s a core', r['answered'] / cpu)
    table.add('up under load: a frame, p50', 'ms', r['ms']['p50'])
    table.add('up under load: a frame, p99', 'ms', r['ms']['p99'])
    table.add('up under load: failed', 'frames', sum(r['failed'].values()))
    n = len(sizes)
    for part, text in ((4, 'a quarter'), (2, 'half'), (4 / 3, 'three quarters'), (1, 'the end')):
        table.add(f'memory of up under load, at {text}', 'MB', sizes[min(int(n / part), n) - 1])
    table.add('memory of up under load, most', 'MB', max(sizes), '<= 500, flat')
    up.stop()


def head(plan):
    cpu = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    memory = int(re.search(r'MemTotal: +(\d+)', pathlib.Path('/proc/meminfo').read_text()).group(1)) / 1e6
    print(f'{time.strftime("%Y-%m-%d %H:%M")}, {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, '
          f'{memory:.0f} GB, Linux {platform.release()}, load {os.getloadavg()[0]:.1f} before')
    print(f'{plan.rounds} rounds; benches take turns within a round')


def main():
    arg = argparse.ArgumentParser(description=__doc__)
    arg.add_argument('build', type=pathlib.Path)
    arg.add_argument('--short', action='store_true')
    a = arg.parse_args()
    build, plan, table = a.build.resolve(), Plan(a.short), Table()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='signloop-bench-'))
    from_s = time.monotonic()
    try:
        head(plan)
        call(build / 'signloop', 'drive', '--demo', '--save', folder / 'frames', '--cars', 4, '--count', plan.frames)
        frames = sorted((folder / 'frames').glob('*.jpg'))
        call(build / 'bench' / 'store_bench', '--fill', folder / 'reviews')
        up = Up(build, folder / 'reviews')
        for i in range(plan.rounds):
            print(f'round {i + 1}', file=sys.stderr, flush=True)
            pipeline(build, plan, frames, table)
            nets(build, table)
            store(build, plan, folder, table)
            votes(build, plan, up, table)
            start(build, folder, table)
        up.stop()
        print('load', file=sys.stderr, flush=True)
        load(build, plan, folder, table)
    finally:
        shutil.rmtree(folder)
    table.show()
    print(f'\n{time.monotonic() - from_s:.0f} s, load {os.getloadavg()[0]:.1f} after')


if __name__ == '__main__':
    main()
