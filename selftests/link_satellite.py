# SPDX-License-Identifier: GPL-2.0-only
"""The selftest link_satellite; run by link_satellite.sh."""
import os
import signal
import time

from link_lib import OPTICS, bootstrap, links_up, take_off, tell_optics
from netns import run as command
from supply_lib import ALICE, BOB, ENDS, problems, take_down, tell, tunnel_up, until, wire_up
from ktap import equal, run

PASSES = 3
# A block in a pass, which an emulated CPU makes in seconds. Better detectors than those of
# the preset: small blocks have less key. A pass takes some 400 s, the gap as long.
MODEL = ('preset bb84-satellite set period=800 set rate=10MHz set efficiency=80% set dark=1e-9 '
         'set background=1e-8 set misalignment=0.3% set block=200000').split()
PACE = 80


def sample():
    """Is the satellite in sight, and how much has come into alice's tx streams?"""
    seen = OPTICS['alice'].metric('transmittance_ratio') > 0
    stats = ALICE.stats()
    return seen, sum(stats.get(stream, {}).get('supplied', 0)
                     for stream in (ALICE.pad_stream, ALICE.key_stream))


def check_rate(begun):
    """The kernel is told what came into the streams in the time that took, not in the link's."""
    fed = 8 * sum(stat['supplied'] for stat in ALICE.stats().values())
    took = time.monotonic() - begun
    told = ALICE.json('link', 'show', 'qkd0')[0]['skr']
    if not 0.5 < told * took / fed < 2:
        raise AssertionError(f'{told} bit/s, but {fed} bits in {took:.0f} s')
    return f'{told} bit/s told, {fed} bits in {took:.0f} s'


def small_pings(count):
    """How many came back; they take little pad."""
    said = ALICE.exec('ping', '-q', '-n', '-c', count, '-i', '0.2', '-s', 8, '-W', 5, BOB.inner,
                      check=False)
    return int(said.partition(' received')[0].rpartition(' ')[2])


def wait_for(what, condition):
    """The next moment at which it holds, within a period; no key comes out of sight."""
    end = time.monotonic() + 240
    seen, size = sample()
    while not condition(seen, size):
        now_seen, now = sample()
        if now > size and not (seen or now_seen):
            raise AssertionError(f'{now - size} bytes came in the gap')
        seen, size = now_seen, now
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within 240 s')
        time.sleep(0.1)
    return size


def test_passes():
    """three passes: each brings key, the gaps none, and the pool carries the tunnel through them"""
    links_up(capacity='16K', low='512')
    bootstrap()
    begun = time.monotonic()
    for optics in OPTICS.values():
        optics.start(*MODEL, options=('--pace', str(PACE), '--metrics', optics.metrics))
    tunnel_up()
    levels, had, rate = [], 0, ''
    for _ in range(PASSES):
        had = wait_for('a pass brings key', lambda seen, size, had=had: seen and size > had)
        until(lambda: small_pings(1) == 1, 'the key is confirmed', 30)
        wait_for('the gap', lambda seen, size: not seen)
        # while rates are still those of all blocks
        rate = rate or check_rate(begun)
        equal(small_pings(5), 5, 'answers in the gap')
        levels.append(had)
    return f'{levels} bytes; {rate}'


def test_whole():
    """the accounts of both ends add up"""
    take_off()
    until(lambda: problems() == [], 'the accounts', 30)


def test_split():
    """photons are split: no key, the link is up, and its reason is not the QBER"""
    def reasons():
        links = [end.json('link', 'show', 'qkd0')[0] for end in ENDS]
        return [(link['state'], link.get('reason')) for link in links]

    bootstrap()
    OPTICS['alice'].scene('0 split 1')
    for optics in OPTICS.values():
        optics.start(options=('--pace', 'fast', '--scenario', OPTICS['alice'].scenario))
    ALICE.exec('ping', '-q', '-n', '-c', '8', '-i', '0.2', '-s', '1000', '-W', '2', BOB.inner,
               check=False)
    until(lambda: reasons() == [('up', 'no-key')] * 2, 'the alarm', 120)
    OPTICS['alice'].scene('0 off')
    until(lambda: reasons() == [('up', None)] * 2, 'its end', 120)
    take_off()


def test_namespace():
    """a namespace ends that qkd-link runs in: its link goes with it, and the other end says so"""
    bootstrap()
    for optics in OPTICS.values():
        optics.start(options=('--pace', 'fast'))
    before = ALICE.usable(ALICE.pad_stream)
    # so that there is room
    ALICE.exec('ping', '-q', '-n', '-c', '8', '-i', '0.2', '-s', '1000', '-W', '2', BOB.inner,
               check=False)
    until(lambda: small_pings(1) and ALICE.usable(ALICE.pad_stream) > before, 'key comes', 120)
    node = f'/dev/qkd{BOB.link()["index"]}'
    equal(os.path.exists(node), True, 'is there a node?')
    BOB.client.close()
    BOB.client = None
    command('ip', 'netns', 'del', 'bob')
    # it lasts as long as they do
    equal(os.path.exists(node), True, 'is there a node?')
    OPTICS['bob'].stop(signal.SIGKILL)
    BOB.daemon.stop(signal.SIGKILL)
    until(lambda: not os.path.exists(node), 'the node goes', 30)
    until(lambda: OPTICS['alice'].said('the connection is given up'), 'alice says so', 60)
    take_off()


if __name__ == '__main__':
    try:
        wire_up()
        run([test_passes, test_whole, test_split, test_namespace])
    finally:
        tell()
        tell_optics()
        take_off()
        take_down()
