# SPDX-License-Identifier: GPL-2.0-only
"""The selftest link_ipsec; run by link_ipsec.sh."""
import glob
import os
import resource
import signal
import subprocess

from link_lib import (ENDS, FAST, OPTICS, RUN, bootstrap, have, links_up, take_off,
                      tell_optics)
from supply_lib import ALICE, BOB, problems, take_down, tell, tunnel_up, until, wire_up
from ktap import equal, run, scaled

ALARM = 'qber-alarm'
CLEAR = 'qber-clear'
AES = {ALICE.name: '10.3.1.1', BOB.name: '10.3.2.1'}
KEYS = []


class Monitors:
    """Events of both links."""

    def __init__(self):
        self.files, self.processes = {}, []

    def start(self):
        for end in ENDS:
            self.files[end.name] = f'{RUN}/{end.name}.events'
            with open(self.files[end.name], 'wb') as out:
                self.processes.append(subprocess.Popen(
                    ['ip', 'netns', 'exec', end.name, 'qkd', '-j', 'monitor'], stdout=out,
                    stdin=subprocess.DEVNULL))

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def seen(self, end, event):
        with open(self.files[end.name], encoding='ascii') as file:
            return file.read().count(f'"{event}"')


monitors = Monitors()


def aes_up():
    """A key for four packets, then the next; without one it blocks."""
    for spi, end in ((0x2001, ALICE), (0x2002, BOB)):
        sa = ('src', end.address, 'dst', end.peer.address, 'spi', spi, 'dev', 'qkd0', 'cipher',
              'aes', 'mode', 'tunnel', 'reqid', 2)
        end.qkd('esp', 'add', *sa, 'dir', 'out', 'rekey-packets', 4, 'epoch-packets', 4)
        end.peer.qkd('esp', 'add', *sa, 'dir', 'in', 'replay-window', 64)
    for end in ENDS:
        end.ip('addr', 'add', f'{AES[end.name]}/32', 'dev', 'lo')
        end.ip('route', 'add', f'{AES[end.peer.name]}/32', 'via', end.peer.address, 'src',
               AES[end.name])
        for direction, one, other in (('out', end, end.peer), ('in', end.peer, end)):
            end.ip('xfrm', 'policy', 'add', 'src', AES[one.name], 'dst', AES[other.name], 'dir',
                   direction, 'tmpl', 'src', one.address, 'dst', other.address, 'proto', 'esp',
                   'reqid', 2, 'mode', 'tunnel')


def pings(count, *address):
    """Small ones; how many came back."""
    said = ALICE.exec('ping', '-q', '-n', '-c', count, '-i', '0.05', '-s', 16, '-W', 2,
                      *(address or (BOB.inner,)), check=False)
    return int(said.partition(' received')[0].rpartition(' ')[2])


def aes_pings(count):
    return pings(count, '-I', AES[ALICE.name], AES[BOB.name])


def no_key(end, cipher):
    """Packets that an end's SA did not send for want of key."""
    return sum(sa['refused']['no_key'] for sa in end.json('-s', 'esp', 'show')
               if sa['dir'] == 'out' and sa['cipher'] == cipher)


def shown(end):
    return end.json('link', 'show', 'qkd0')[0]


def test_fed():
    """light becomes key: all four streams are fed, and what both ends have is the same"""
    links_up()
    KEYS.append(bootstrap())
    for optics in OPTICS.values():
        optics.scene('0 off')
        optics.start(options=('--pace', 'fast', '--scenario', optics.scenario))
    until(lambda: have(4096), 'key comes', 180)
    equal([os.path.exists(optics.key) for optics in OPTICS.values()], [False, False],
          'the bootstrap key is gone')


def test_measured():
    """QBER and key rate are shown, the same at both ends and what the fibre should give"""
    said = [until(lambda end=end: shown(end)['skr'] and shown(end), 'a rate') for end in ENDS]
    table = subprocess.run(['qkd-link', '--distance', '50,50', *FAST], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    names, values = (line.split('\t') for line in table[:2])
    expected = float(dict(zip(names, values))['qber'])
    for link in said:
        # of 100 000 bits: six sigma
        if abs(link['qber'] - expected) > 6 * (expected / 1e5) ** 0.5:
            raise AssertionError(f'QBER {link["qber"]}, {expected} by the formula')
    return f'QBER {said[0]["qber"]:.4f}, {expected:.4f} by the formula'


def test_traffic():
    """an otp tunnel and an aes tunnel carry packets on it"""
    tunnel_up()
    aes_up()
    count = scaled(100, 10)
    equal(pings(count), count, 'answers under otp')
    equal(aes_pings(count), count, 'answers under aes')


def test_eve():
    """Eve measures all light: the QBER rises, both links alarm, and say so"""
    OPTICS['alice'].scene('0 intercept 1')
    # so that there is room, and another block is begun
    pings(scaled(100, 10))
    for end in ENDS:
        until(lambda end=end: monitors.seen(end, ALARM), f'{end.name}: event', 120)
        link = shown(end)
        equal((link['state'], link.get('reason')), ('up', 'qber'), f'{end.name}: the link')
        # a quarter by theory; misalignment adds, chance takes
        if not 0.2 < link['qber'] < 0.3:
            raise AssertionError(f'QBER {link["qber"]}')
        equal(link['skr'], 0, 'the rate')
        if not OPTICS[end.name].said('alarm: QBER is above'):
            raise AssertionError(f'{end.name}: it is not in the log')
    return f'QBER {shown(ALICE)["qber"]:.3f}'


def spend(ping, what):
    """Until no packet comes back."""
    until(lambda: ping(20) == 0, f'{what} stops', 120)


def test_blocked():
    """without key the tunnels stop, none is replaced by a weaker one, and counters tell why"""
    spend(pings, 'the otp tunnel')
    spend(aes_pings, 'the aes tunnel')
    for cipher in ('otp', 'aes'):
        if not no_key(ALICE, cipher):
            raise AssertionError(f'{cipher}: no packet was refused for want of key')
    equal([sa['on_empty'] for sa in ALICE.json('esp', 'show')], ['block'] * 4, 'on-empty')
    if not monitors.seen(ALICE, 'key-empty'):
        raise AssertionError('no event key-empty')


def test_resumed():
    """Eve is gone: key comes, the alarm ends, and the tunnels carry packets again"""
    OPTICS['alice'].scene('0 off')
    for end in ENDS:
        until(lambda end=end: monitors.seen(end, CLEAR), f'{end.name}: event', 120)
        equal(shown(end).get('reason'), None, 'the reason')
    until(lambda: pings(3) == 3, 'the otp tunnel resumes', 60)
    until(lambda: aes_pings(3) == 3, 'the aes tunnel resumes', 60)


def whole():
    """At rest the accounts of both ends add up."""
    until(lambda: problems() == [], 'the accounts', 30)
    equal([end.refused() for end in ENDS], [{}, {}], 'packets refused')


def test_killed():
    """an end is killed: no core; with a new bootstrap key at both ends it goes on"""
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    with open('/proc/sys/kernel/core_pattern', 'r+', encoding='ascii') as file:
        pattern = file.read()
        file.seek(0)
        file.write(f'{RUN}/core')
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        OPTICS['bob'].stop()
        KEYS.append(bootstrap())
        OPTICS['bob'].start(options=('--pace', 'fast'))
        OPTICS['alice'].process.send_signal(signal.SIGHUP)
        until(lambda: OPTICS['alice'].said('a new bootstrap key was taken'), 'alice takes it', 60)
        until(lambda: OPTICS['alice'].said('connected') > 1, 'they meet', 60)
        OPTICS['bob'].stop(signal.SIGABRT)
        equal(glob.glob(f'{RUN}/core*'), [], 'cores')
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
        with open('/proc/sys/kernel/core_pattern', 'w', encoding='ascii') as file:
            file.write(pattern)
    KEYS.append(bootstrap())
    OPTICS['bob'].start(options=('--pace', 'fast'))
    OPTICS['alice'].process.send_signal(signal.SIGHUP)
    before = ALICE.usable(ALICE.pad_stream)
    pings(scaled(100, 20))
    until(lambda: ALICE.usable(ALICE.pad_stream) > before, 'key comes', 180)
    take_off()
    whole()


def test_secrets():
    """no key of the tags is in the logs, in bytes, hex or Base64"""
    for optics in OPTICS.values():
        text = optics.text()
        if 'connected to the other end' not in text:
            raise AssertionError('the log is not what was meant')
        for key in KEYS:
            for at in range(0, len(key) - 16, 16):
                if key[at:at + 8].hex() in text.lower():
                    raise AssertionError('key in a log')


if __name__ == '__main__':
    try:
        wire_up()
        monitors.start()
        run([test_fed, test_measured, test_traffic, test_eve, test_blocked, test_resumed,
             test_killed, test_secrets])
    finally:
        tell()
        tell_optics()
        monitors.stop()
        take_off()
        take_down()
