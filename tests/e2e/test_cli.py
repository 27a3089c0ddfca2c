# SPDX-License-Identifier: Apache-2.0
"""Every command of the table: help, wrong use, exit status."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from rig import BINARY, run


def commands():
    out = subprocess.run([str(BINARY), 'help'], capture_output=True, text=True, check=True).stdout
    return re.findall(r'^  (\w+) +\S', out, re.M)


def test_help_lists_commands():
    assert {'up', 'serve', 'drive', 'train', 'eval', 'model', 'dataset', 'import', 'export', 'fsck', 'version', 'help'} <= set(commands())


@pytest.mark.parametrize('name', commands())
def test_help_of_each(name):
    p = run(name, '--help')
    assert p.stdout.startswith('usage: signloop ' + name)
    assert 'examples:' in p.stdout
    assert run('help', name).stdout == p.stdout


def on_terminal(columns, *args):
    """What a command prints on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    p = subprocess.Popen([str(BINARY), *args], stdin=its, stdout=its)
    os.close(its)
    out = b''
    try:
        while part := os.read(ours, 65536):
            out += part
    except OSError:  # how a terminal says that nobody writes any more
        pass
    os.close(ours)
    assert p.wait(60) == 0
    return out.decode().replace('\r\n', '\n')


@pytest.mark.parametrize('columns', [40, 100])
@pytest.mark.parametrize('topic', [[], ['config'], ['formats'], ['stores'], *([c] for c in commands())], ids=lambda t: ' '.join(t) or 'all')
def test_help_fits_the_terminal(topic, columns):
    text = on_terminal(columns, 'help', *topic)
    prose = text.partition('\nexamples:')[0]  # a command stays on one line, to be copied
    assert max(map(len, prose.splitlines())) <= columns
    words = run('help', *topic).stdout.partition('\nexamples:')[0]
    assert ''.join(prose.split()) == ''.join(words.split())


@pytest.mark.parametrize('name', commands())
def test_unknown_option_is_exit_2_and_one_line(name):
    p = run(name, '--no-such-option', ok=(2,))
    assert p.stdout == ''
    assert len(p.stderr.strip().splitlines()) == 1
    assert 'no-such-option' in p.stderr


def test_unknown_command_and_setting():
    assert 'did you mean' in run('trian', ok=(2,)).stderr
    p = run('up', '--reviews-cap', '0', ok=(2,))
    assert 'reviews.cap' in p.stderr and 'from 1' in p.stderr
    assert 'roles:' in run('serve', 'frame', ok=(2,)).stderr


def test_config_file_environment_flag(tmp_path):
    conf = tmp_path / 'signloop.conf'
    conf.write_text('reviews.cap = 4\nhttp.queue = 9\n')
    assert 'reviews.cap = 4' in run('help', 'config', '--config', conf).stdout
    env = {'SIGNLOOP_REVIEWS_CAP': '5', 'PATH': '/usr/bin:/bin'}
    out = run('help', 'config', '--config', conf, env=env).stdout
    assert 'reviews.cap = 5' in out and 'http.queue = 9' in out
    conf.write_text('reviews.cap 4\n')
    assert f'{conf}:1' in run('help', 'config', '--config', conf, ok=(2,)).stderr


def test_version():
    assert re.fullmatch(r'signloop \d+\.\d+\.\d+\n', run('version').stdout)
    assert json.loads(run('version', '--json').stdout)['name'] == 'signloop'


def test_missing_file_is_exit_2():
    for args in (('eval', 'classifier', '--bundle', 'nowhere.bundle', '--data', 'imagefolder:nowhere'),
                 ('import', 'imagefolder', 'nowhere'), ('bundle', 'show', 'nowhere.bundle')):
        p = run(*args, ok=(2,))
        assert 'nowhere' in p.stderr and len(p.stderr.strip().splitlines()) == 1
