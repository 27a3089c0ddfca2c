#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the same loop costs over embedded stores and over Kafka, HBase, MongoDB and HDFS, all on this machine: frames/s with
one, two and four processes that answer frames, votes/s, lag from an accepted frame to its row in a segment, and whose CPU it
is. Prints tables, and writes a plot of lag against delay. Called by `make bench-cluster`; bench/README.md says how to read it."""
import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
from cluster import KINDS, Cluster, embedded_url, new_name, real_url, REAL  # noqa: E402
from rig import BINARY, wait_until  # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
NAMES = {False: 'embedded', True: 'real'}
VISION = {'infer'}  # threads that decode, detect and classify


def ticks(path):
    fields = pathlib.Path(path).read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of(pid):
    try:
        return ticks(f'/proc/{pid}/stat')
    except FileNotFoundError:
        return 0.0


def vision_of(pid):
    """CPU seconds of the threads of a process that see."""
    used = 0.0
    for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
        try:
            used += ticks(task / 'stat') if (task / 'comm').read_text().strip() in VISION else 0
        except (FileNotFoundError, ProcessLookupError):
            pass
    return used


class Cpu:
    """What each process used between two looks."""

    def __init__(self, cluster, servers):
        self.cluster, self.servers = cluster, servers
        self.start()

    def look(self):
        roles = {n: (vision_of(p.process.pid), cpu_of(p.process.pid)) for n, p in self.cluster.process.items()}
        return time.monotonic(), roles, {n: cpu_of(pid) for n, pid in self.servers.items()}

    def start(self):
        self.from_ = self.look()

    def end(self):
        """({role: (vision, rest)}, {server: s}) in CPU seconds, and the wall seconds."""
        (t0, r0, s0), (t1, r1, s1) = self.from_, self.look()
        roles = {}
        for name, (vision, all_of_it) in r1.items():
            saw = vision - r0[name][0]
            roles[name] = (saw, all_of_it - r0[name][1] - saw)
        return roles, {n: s1[n] - s0[n] for n in s1}, t1 - t0


def histogram(text, name):
    """Cumulative counts by upper bound of a histogram in the Prometheus text."""
    return {float(le): float(n) for le, n in re.findall(rf'^{name}_bucket{{.*?le="([^"]+)"}} (\S+)$', text, re.M)}


def quantile(before, after, q):
    """Of what came between two looks; linear inside a bucket. 0 when nothing came."""
    bounds = sorted(after)
    counts = [after[b] - before.get(b, 0) for b in bounds]
    if not counts or not counts[-1]:
        return 0.0
    want, low, below = q * counts[-1], 0.0, 0.0
    for bound, n in zip(bounds, counts):
        if n >= want:
            bound = low if bound == float('inf') else bound
            return low + (bound - low) * (want - below) / max(n - below, 1e-9)
        low, below = bound, n
    return low


def stored(curate):
    """(Labels that a curate process has stored, seconds that it waited for them and stored them.)"""
    text = curate.get('/metrics').text
    return tuple(float(re.search(rf'^signloop_curate_{what} (\S+)$', text, re.M).group(1)) for what in ('rows_total', 'turn_seconds_sum'))


def drive(urls, seconds, rate, cars):
    """`signloop drive` against each process at once; the sum of frames/s and the worst p99, ms."""
    runs = [subprocess.Popen([str(BINARY), 'drive', '--to', u, '--demo', '--rate', str(rate / len(urls)), '--cars', str(cars),
                              '--pool', '48', '--seed', str(i + 1), '--duration', str(seconds), '--json', '--quiet'],
                             stdout=subprocess.PIPE, text=True) for i, u in enumerate(urls)]
    told = []
    for p in runs:
        out = p.communicate()[0]
        if p.returncode:
            sys.exit(f'bench: drive ended with {p.returncode}')
        told.append(json.loads(out))
    return told


class Bench:
    def __init__(self, servers, bases, folder, seconds):
        self.servers, self.bases, self.folder, self.seconds = servers, bases, pathlib.Path(folder), seconds
        self.n = 0

    def fresh(self):
        self.n += 1
        folder = self.folder / str(self.n)
        (folder / 'shared').mkdir(parents=True)
        return folder

    def urls(self, real, folder):
        name = new_name()
        return {k: real_url(k, self.bases[k], name) if real else embedded_url(k, folder / 'shared') for k in KINDS}

    def cluster(self, real, cars, *flags, log_options=''):
        folder = self.fresh()
        urls = self.urls(real, folder)
        urls['log'] += log_options
        roles = [(f'cars{i}', 'rollout,frames') for i in range(cars)]
        roles += [('people', 'labeling'), ('intake', 'intake'), ('curate', 'curate')]
        threads = 2 if cars == 1 else 1
        return Cluster(folder, urls, '--frames-threads', threads, *flags, roles=roles)

    def frames(self, real, cars):
        """Frames/s as fast as they go, and whose CPU it took."""
        c = self.cluster(real, cars)
        try:
            urls = [p.url for p in c.named('cars')]
            drive(urls, 2, 0, 2)  # warm
            cpu = Cpu(c, self.servers if real else {})
            told = drive(urls, self.seconds, 0, max(4 // cars, 2))
            return sum(t['per_s'] for t in told), max(t['ms']['p99'] for t in told), cpu.end()
        finally:
            c.close()

    def lag(self, real, rate, *flags, log_options=''):
        """p50 and p99, s, from a label's message to its row in a segment, at `rate` frames/s; the frame's own p99, s."""
        c = self.cluster(real, 1, *flags, log_options=log_options)
        try:
            drive([c.cars0.url], 2, rate, 2)
            c.wait_drained()
            before = c.curate.get('/metrics').text
            cpu = Cpu(c, self.servers if real else {})
            told = drive([c.cars0.url], self.seconds, rate, 4)
            c.wait_drained()
            after = c.curate.get('/metrics').text
            h = [histogram(t, 'signloop_label_lag_seconds') for t in (before, after)]
            return quantile(*h, 0.5), quantile(*h, 0.99), told[0]['ms']['p99'] / 1000, cpu.end()
        finally:
            c.close()

    def backlog(self, real, least):
        """Labels that nobody has stored: (their stores' URLs, how many)."""
        folder = self.fresh()
        urls = self.urls(real, folder)
        c = Cluster(folder, urls, '--frames-audit', 0, roles=[('cars', 'rollout,frames')])
        try:
            def labels():
                drive([c.cars.url], 5, 0, 4)
                return c.cars.get('/v1/status').json()['lag'].get('curate', 0)
            return urls, wait_until(lambda: (n := labels()) >= least and n, 600, f'{least} labels')
        finally:
            c.close()

    def drain(self, real, backlog, batch):
        """Labels/s of one curate that finds the backlog, without the last ones, which wait for more."""
        urls, n = backlog
        folder = self.fresh()
        c = Cluster(folder, {**urls, 'artifacts': self.urls(real, folder)['artifacts']}, '--curate.batch', batch,
                    roles=[('curate', 'curate')])
        try:
            wait_until(lambda: stored(c.curate)[0] >= n // batch * batch, 300, 'storing the backlog')
            rows, busy = stored(c.curate)
            return rows / busy
        finally:
            c.close()

    def votes(self, real, n, voters):
        """Votes/s over HTTP, each voter asking for the next review first."""
        c = self.cluster(real, 1, '--frames-audit', 1, '--reviews-cap', 10)
        try:
            def enough():
                drive([c.cars0.url], 2, 0, 4)
                return c.people.get('/v1/status').json()['reviews']['open'] * 6 >= n
            wait_until(enough, 120, 'enough reviews')
            cpu = Cpu(c, self.servers if real else {})
            out = subprocess.run([str(BINARY), 'drive', '--to', c.people.url, '--votes', str(n), '--voters', str(voters), '--rate',
                                  '0', '--json', '--quiet'], stdout=subprocess.PIPE, text=True, check=True).stdout
            told = json.loads(out)
            return told['per_s'], told['ms']['p99'], cpu.end()
        finally:
            c.close()


def row(*cells):
    print('| ' + ' | '.join(str(c) for c in cells) + ' |', flush=True)


def head(*cells):
    print()
    row(*cells)
    row(*('---' for _ in cells))


def shares(end):
    """Where the CPU went, for a table: vision, our rest, each server; in % of all of it."""
    roles, servers, wall = end
    vision, rest = sum(v for v, _ in roles.values()), sum(r for _, r in roles.values())
    total = vision + rest + sum(servers.values()) or 1
    told = ', '.join(f'{n} {100 * s / total:.0f}' for n, s in sorted(servers.items(), key=lambda x: -x[1]) if s / total >= 0.005)
    ours = 100 * rest / (vision + rest) if vision + rest else 0
    return f'{100 * vision / total:.0f}', f'{100 * rest / total:.0f}', told or '-', f'{ours:.1f}'


def plot(path, series, x_name, y_name):
    """A line plot as SVG; series: {name: [(x, y)]}, x by rank, so that 0, 1, 5, 20 stand apart."""
    w, h, left, top = 640, 360, 70, 40
    xs = sorted({x for points in series.values() for x, _ in points})
    most = max(y for points in series.values() for _, y in points) * 1.1 or 1
    place = lambda x, y: (left + xs.index(x) * (w - left - 30) / max(len(xs) - 1, 1), h - 50 - y / most * (h - 50 - top))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif" font-size="12">',
           f'<rect width="{w}" height="{h}" fill="#fff"/><text x="{left}" y="20">{y_name}</text>',
           f'<text x="{w - 30}" y="{h - 12}" text-anchor="end">{x_name}</text>']
    for i in range(5):
        y = most * i / 4
        at = place(xs[0], y)[1]
        out.append(f'<path d="M{left} {at:.1f}H{w - 30}" stroke="#ddd"/><text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{y:.2f}</text>')
    for x in xs:
        out.append(f'<text x="{place(x, 0)[0]:.1f}" y="{h - 32}" text-anchor="middle">{x:g}</text>')
    for (name, points), colour in zip(series.items(), ('#1565c0', '#c62828', '#2e7d32', '#6a1b9a')):
        line = ' '.join('%.1f,%.1f' % place(x, y) for x, y in sorted(points))
        last = place(*sorted(points)[-1])
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{last[0]:.1f}" y="{last[1] - 8:.1f}" fill="{colour}" text-anchor="end">{name}</text>')
    path.write_text('\n'.join(out) + '\n</svg>\n')


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument('--short', action='store_true', help='one round of everything, a few seconds each')
    a.add_argument('--servers', type=pathlib.Path, default=ROOT / 'deploy' / 'dev' / 'servers', help='tool that tells the servers\' pids')
    a.add_argument('--plots', type=pathlib.Path, default=ROOT / 'build', help='folder for the plots')
    a = a.parse_args()
    missing = [v for v in REAL.values() if not os.environ.get(v)]
    if missing:
        sys.exit(f'bench: {", ".join(missing)} not set; make bench-cluster starts the servers and sets them')
    state = json.loads(subprocess.run([str(a.servers), 'status', '--json'], stdout=subprocess.PIPE, text=True, check=True).stdout)
    servers = {row['name']: row['pid'] for row in state if 'pid' in row}
    rounds, seconds = (1, 5) if a.short else (5, 8)
    model = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    print(f'{time.strftime("%Y-%m-%d")}, {os.cpu_count()} cores, {model.group(1) if model else platform.machine()}, load '
          f'{os.getloadavg()[0]:.1f}; {rounds} rounds, in turns; drivers, roles and servers share the cores')
    with tempfile.TemporaryDirectory() as folder:
        b = Bench(servers, {k: os.environ[v] for k, v in REAL.items()}, folder, seconds)
        most = {}
        head('stores', 'frames processes', 'frames/s', 'p99, ms', 'CPU: vision, %', 'our rest, %', 'servers, %', 'our rest of ours, %')
        got = {}
        for _ in range(rounds):
            for real in (False, True):
                for cars in (1, 2, 4):
                    got.setdefault((real, cars), []).append(b.frames(real, cars))
        for (real, cars), runs in got.items():
            rate = statistics.median(r[0] for r in runs)
            runs.sort(key=lambda r: r[0])
            most[real] = max(most.get(real, 0), rate) if cars == 1 else most[real]
            row(NAMES[real], cars, f'{rate:.1f}', f'{statistics.median(r[1] for r in runs):.0f}',
                *shares(runs[len(runs) // 2][2]))
        head('stores', 'votes/s over HTTP, 16 voters', 'p99, ms', 'CPU: our roles, %', 'servers, %')
        got = {}
        for _ in range(rounds):
            for real in (False, True):
                got.setdefault(real, []).append(b.votes(real, 300, 16))
        for real, runs in got.items():
            runs.sort(key=lambda r: r[0])
            vision, rest, told, _ = shares(runs[len(runs) // 2][2])
            row(NAMES[real], f'{statistics.median(r[0] for r in runs):.0f}',
                f'{statistics.median(r[1] for r in runs):.0f}', rest, told)
        head('stores', 'curate.linger_ms', 'load, frames/s', 'lag p50, s', 'lag p99, s', 'frame p99, s')
        rates = {real: round(0.7 * most[real], 1) for real in most}
        got, lags = {}, {}
        for _ in range(rounds):
            for real in rates:
                for linger in (200, 500, 1000, 2000):
                    got.setdefault((real, linger), []).append(b.lag(real, rates[real], '--curate.linger_ms', linger))
        for (real, linger), runs in got.items():
            p50, p99, own = (statistics.median(r[i] for r in runs) for i in range(3))
            lags.setdefault(NAMES[real], []).append((linger, p99))
            row(NAMES[real], linger, rates[real], f'{p50:.2f}', f'{p99:.2f}', f'{own:.3f}')
        plot(a.plots / 'bench-cluster-lag.svg', lags, 'curate.linger_ms', 'seconds to a row in a segment, 99 of 100')
        head('stores', 'curate.batch', 'labels waiting', 'labels/s')
        got, per_s = {}, {}
        backlogs = {real: b.backlog(real, 2000) for real in rates}
        for _ in range(rounds):
            for real in rates:
                for batch in (20, 100, 500, 1000):
                    got.setdefault((real, batch), []).append(b.drain(real, backlogs[real], batch))
        for (real, batch), runs in got.items():
            per_s.setdefault(NAMES[real], []).append((batch, statistics.median(runs)))
            row(NAMES[real], batch, backlogs[real][1], f'{statistics.median(runs):.0f}')
        plot(a.plots / 'bench-cluster-batch.svg', per_s, 'curate.batch', 'labels a second into segments')
        head('Kafka linger_ms', 'frames/s', 'frame p99, ms', 'Kafka CPU, % of one core')
        got, waits = {}, {'frame p99, ms': []}
        for _ in range(rounds):
            for linger in (0, 1, 5, 20):
                got.setdefault(linger, []).append(b.lag(True, rates[True], log_options=f'&linger_ms={linger}'))
        for linger, runs in got.items():
            own = statistics.median(r[2] for r in runs) * 1000
            used = statistics.median(100 * end[1].get('kafka', 0) / end[2] for _, _, _, end in runs)
            waits['frame p99, ms'].append((linger, own))
            row(linger, rates[True], f'{own:.0f}', f'{used:.0f}')
        plot(a.plots / 'bench-cluster-linger.svg', waits, 'linger_ms of kafka://', 'ms, 99 of 100 frames')
    print(f'\nplots: {a.plots}/bench-cluster-lag.svg, bench-cluster-batch.svg, bench-cluster-linger.svg')


if __name__ == '__main__':
    main()
