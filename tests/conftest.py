# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a real `signloop up` on a free port, demo frames."""
import pytest

from rig import Server, run


@pytest.fixture
def start_server(tmp_path):
    """start_server(*flags) gives a running Server; all are drained at the end."""
    servers = []

    def start(*args, data='data', **kw):
        s = Server(tmp_path / data, *args, **kw)
        servers.append(s)
        return s

    yield start
    for s in servers:
        s.close()


@pytest.fixture
def server(start_server):
    """A server with demo cars: what `make run` gives."""
    return start_server('--demo', '--demo-rate', '3')


@pytest.fixture(scope='session')
def demo_frames(tmp_path_factory):
    """JPEGs of drawn road scenes, the same in every run."""
    folder = tmp_path_factory.mktemp('frames')
    run('drive', '--demo', '--save', folder, '--cars', 4, '--count', 40)
    frames = [p.read_bytes() for p in sorted(folder.glob('*.jpg'))]
    assert len(frames) == 40
    return frames
