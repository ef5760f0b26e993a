# SPDX-License-Identifier: GPL-2.0-only
"""Servers of key at both ends of supply_lib, and what goes wrong with them."""
import os
import subprocess
import sys

import supply_lib
from supply_lib import ALICE, BOB, ENDS, problems, tell, tunnel_up
from ktap import equal
from netns import run, until

# Small, since a server in Python and a guest's CPU have to fill it.
supply_lib.KEY_LOW, supply_lib.PAD_LOW = 1024, 2048
PORT = 7700


class Servers:
    """Both of them, in one process."""

    def __init__(self, script, folder):
        self.script = os.path.join(os.path.dirname(os.path.abspath(__file__)), script)
        self.folder, self.process = folder, None
        os.makedirs(folder, exist_ok=True)
        self.fault()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, self.script, 'serve', self.folder, '--fault', f'{self.folder}/fault',
             '--log', f'{self.folder}/log', '--record', f'{self.folder}/record', '--address',
             f'alice@127.0.0.1:{PORT}', '--address', f'bob@127.0.0.1:{PORT}'],
            stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def fault(self, text=''):
        with open(f'{self.folder}/fault.new', 'w', encoding='ascii') as file:
            file.write(text)
        os.rename(f'{self.folder}/fault.new', f'{self.folder}/fault')

    def restart(self, fault=''):
        self.stop()
        self.fault(fault)
        self.start()

    def record(self):
        """Keys that were given, in hexadecimal."""
        with open(f'{self.folder}/record', encoding='ascii') as file:
            return [line.split()[1] for line in file]


class Demand:
    """Traffic that asks for key all the time; it is not there where there is none."""

    def __init__(self):
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ['ip', 'netns', 'exec', 'alice', 'ping', '-n', '-q', '-i', '0.2', '-s', '100',
             BOB.inner], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def passes():
    """A packet comes back."""
    said = ALICE.exec('ping', '-n', '-q', '-c', 1, '-W', 1, '-s', 100, BOB.inner, check=False)
    return ' 1 received' in said


def blocked(seconds=60):
    """What was there is used up, and then nothing passes."""
    until(lambda: not passes() and not passes(), 'traffic is blocked', seconds)


def resumed(seconds=60):
    until(passes, 'traffic passes', seconds)


def mark():
    for end in ENDS:
        end.daemon.mark()


def says(text, ends=ENDS):
    """One of the ends says it, since the mark. One may wait for the other."""
    until(lambda: any(text in line for end in ends for line in end.daemon.new()), f'"{text}"')


def killed(servers, fault=None, text='does not give'):
    """No KME for a while: or one with that fault, which makes no difference."""
    mark()
    if fault is None:
        servers.stop()
    else:
        servers.restart(fault)
    blocked()
    says(text)
    servers.restart()
    resumed()


def has_key(end):
    if end.link().get('state') != 'up':
        return False
    stats = end.stats()             # of no stream before the link has begun
    return all(stats[name]['live'] - stats[name].get('pending', 0) >= 500
               for name in (end.key_stream, end.pad_stream))


def begin(section):
    """A link that is fed, and a tunnel over it. section: of an end, lines of [kme k]."""
    for end in ENDS:
        end.link_up()
        end.configure(section(end))
        end.daemon.start()
    until(lambda: all(has_key(end) for end in ENDS), 'both ends have key', 60)
    tunnel_up()
    resumed()
    equal([end.refused() for end in ENDS], [{}, {}], 'refused')


def same_key():
    """A key that one end reads is what the other claims."""
    files = [f'/run/qkd/key.{end.name}' for end in ENDS]
    for file in files:
        if os.path.exists(file):
            os.unlink(file)
    name = ALICE.qkd('key', 'read', 'dev', 'qkd0', 'size', 48, 'to', files[0]).split()[0]
    BOB.qkd('key', 'claim', 'dev', 'qkd0', 'id', name, 'size', 48, 'to', files[1])
    keys = []
    for file in files:
        with open(file, 'rb') as opened:
            keys.append(opened.read())
        os.unlink(file)
    equal(keys[0] == keys[1], True, 'the ends have the same key')


def config_refused(section, changes):
    """changes: (key, value or None for no such line, what is said about it)."""
    for key, value, says in changes:
        lines = [line for line in section if line.split(' = ')[0] != key]
        if value is not None:
            lines.append(f'{key} = {value}')
        with open('/run/qkd/wrong.conf', 'w', encoding='ascii') as file:
            file.write('\n'.join(['[local]', 'name = alice', '[kme k]', *lines]) + '\n')
        said = ALICE.exec('sh', '-c', 'qkdd --check-config /run/qkd/wrong.conf 2>&1 || echo bad',
                          check=False)
        equal((says in said, said.endswith('bad\n'), said.count('\n')), (True, True, 2),
              f'{key} = {value}: {said}')


def spoiled(servers, fault, text, again='again, after'):
    """A fault is said at alice's end, in one line, and it goes on after that."""
    ALICE.daemon.mark()
    servers.fault(fault)

    def lines(words):
        return [line for line in ALICE.daemon.new() if words in line]

    try:
        until(lambda: lines(text), f'{fault}: "{text}"', 20)
    finally:
        servers.fault()
    until(lambda: lines(again), f'{fault}: keys come again', 40)
    equal(len(lines(text)), 1, f'{fault}: lines that say so')


def differs(servers, fault):
    """Three blocks in a row that differ: none is used, and the link goes down."""
    mark()
    servers.fault(fault)
    until(lambda: all(end.link().get('state') == 'down' and end.link().get('reason') == 'mismatch'
                      for end in ENDS), 'the link is down', 60)
    servers.fault()
    equal(passes(), False, 'a packet passes')
    for end in ENDS:
        equal(any('differently' in line for line in end.daemon.new()), True, 'it is said')
        refused = end.refused()
        refused.pop('link', None)       # it is down
        equal(refused, {}, 'refused')
    for end in ENDS:
        end.qkd('link', 'set', 'qkd0', 'up')
    resumed()


def no_key_in_logs(servers):
    keys = servers.record()
    equal(len(keys) > 50, True, f'{len(keys)} keys were given')
    texts = [line for end in ENDS for line in end.daemon.lines()]
    with open(f'{servers.folder}/log', encoding='ascii') as file:
        texts += file.readlines()
    equal([line for line in texts for key in keys if key[:16] in line.lower()], [], 'keys in logs')


def at_rest():
    for end in ENDS:
        end.daemon.stop()
    equal(problems(), [], 'the accounts')


def test(what, function, *args):
    """A test of that name."""
    def call():
        try:
            return function(*args)
        except Exception:
            tell()
            raise
    call.__doc__ = what
    return call


def certificates(folder, *names):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kme_server.py')
    run(sys.executable, script, 'certificates', folder, *names)
