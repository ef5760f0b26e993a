#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""MACsec under rotating SAKs against a static key of `ip macsec`: frames per second,
the longest pause between frames, and how many rotations a second lose nothing. Run by
bench.sh."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
os.chdir(os.path.dirname(HERE))

from macsec_lib import ALICE, BOB, SITES, run, set_up, tear_down        # noqa: E402
from macsec_daemon import DAEMONS, Rotations, daemons, wire_up          # noqa: E402

SUITE = 'gcm-aes-xpn-256'
TURNS = int(os.environ.get('TURNS', '3'))
FRAMES = int(os.environ.get('FRAMES', '20000'))
SIZE, RATE, SECONDS = 1400, 500, 10
STATIC = 'macsec1'


def static_up():
    """A device beside the other one, with keys that stay."""
    keys = {site: os.urandom(32).hex() for site in SITES}
    for site in SITES:
        site.ip('link', 'add', 'link', site.device, STATIC, 'type', 'macsec', 'port', 2,
                'cipher', SUITE, 'encrypt', 'on')
    for site in SITES:
        mac = site.peer.mac
        salt = ['salt', '0' * 24]
        site.ip('macsec', 'add', STATIC, 'tx', 'sa', 0, 'xpn', 1, *salt, 'ssci', site.number,
                'on', 'key', '00', keys[site])
        site.ip('macsec', 'add', STATIC, 'rx', 'port', 2, 'address', mac, 'on')
        site.ip('macsec', 'add', STATIC, 'rx', 'port', 2, 'address', mac, 'sa', 0, 'xpn', 1,
                *salt, 'ssci', site.peer.number, 'on', 'key', '00', keys[site.peer])
        site.ip('link', 'set', STATIC, 'up')


def stream(device, rate, frames):
    """What came of such a stream from alice to bob."""
    receiver = subprocess.Popen(
        ['ip', 'netns', 'exec', 'bob', 'taskset', '-c', '1', 'tools/ecpri', 'receive', device,
         str(frames)], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    ALICE.exec('taskset', '-c', 0, 'tools/ecpri', 'send', device, BOB.mac, SIZE, rate, frames)
    return json.loads(receiver.communicate(timeout=60)[0])


def per_second(device):
    came = stream(device, 0, FRAMES)
    return came['frames'] / came['seconds']


def throughput():
    ours, static = [], []
    for _ in range(TURNS):
        ours.append(per_second('macsec0'))
        static.append(per_second(STATIC))
    print(f'MACsec, a SAK each second: {max(ours):.0f} frames/s, static key '
          f'{max(static):.0f} frames/s, rotating / static = {max(ours) / max(static):.2f}',
          flush=True)


def pauses():
    ours, static = [], []
    for _ in range(TURNS):
        ours.append(stream('macsec0', RATE, RATE * SECONDS))
        static.append(stream(STATIC, RATE, RATE * SECONDS))
    ours, static = (min(x['gap_us'] for x in came) / 1000 for came in (ours, static))
    print(f'MACsec, {RATE} frames/s, longest pause in {SECONDS} s: {ours:.1f} ms with a SAK '
          f'each second, {static:.1f} ms with a static key, ratio {ours / static:.2f}',
          flush=True)


def fastest():
    """A SAK for each frame that is seen: as fast as the two daemons can agree."""
    DAEMONS[ALICE].configure(rekey_time='30m', rekey_packets=1)
    DAEMONS[ALICE].reload()
    time.sleep(1)
    seen = Rotations()
    start = time.monotonic()
    came = stream('macsec0', RATE, RATE * SECONDS)
    count = seen.count(ALICE) / (time.monotonic() - start)
    seen.close()
    print(f'MACsec, rotations as fast as they come: {count:.1f} a second, {came["missing"]} of '
          f'{RATE * SECONDS} frames lost, {came["late"]} late', flush=True)


def main():
    set_up()
    wire_up()
    try:
        with daemons(SUITE, rekey_time='1s'):
            static_up()
            throughput()
            pauses()
            fastest()
    finally:
        tear_down()


run('modprobe', '-qa', 'macsec', check=False)
main()
