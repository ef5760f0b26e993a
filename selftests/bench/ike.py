#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Setting up IKE_SAs between two stock charons: time, messages and bytes of x25519 alone
and with what makes it quantum-safe, side by side, over a good path and a bad one. Run
by bench.sh."""
import contextlib
import os
import re
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from ike_lib import PROPOSAL, charons, connection, impair, take_down, wire_up     # noqa: E402

COUNT = int(os.environ.get('SETUPS', '100'))
KINDS = {       # additional exchanges, more of the connection
    'x25519': ('', {}),
    '+ ke1_mlkem768': ('-ke1_mlkem768', {}),
    '+ PPK': ('-ke1_mlkem768', {'ppk_id': 'qkd:qkd0'}),
    '+ ke2_qkd': ('-ke1_mlkem768-ke2_qkd', {'ppk_id': 'qkd:qkd0'}),
    'x25519 + ke1_qkd_mlkem768': ('-ke1_qkd_mlkem768', {}),
}
PATHS = {'no delay': None, '50 ms': ('delay', '25ms'),
         '50 ms, 5 % lost': ('delay', '25ms', 'loss', '5%')}
QKD = {'connections': {f'c{i}': {'source': 'qkd0'} for i in range(len(KINDS))}}


def connections(site):
    """Each with identities of its own, by which the responder tells them apart."""
    out = {}
    for i, (ike, more) in enumerate(KINDS.values()):
        made = connection(site, {f'c{i}': {}}, proposals=PROPOSAL + ike, **more)
        for end, name in (('local', site.name), ('remote', site.peer.name)):
            made[end]['id'] = f'c{i}.{name}.example'
        out[f'c{i}'] = made
    return out


def set_up(alice, child):
    """(seconds, messages, bytes) of one; packets of both directions."""
    alice.forget()
    alice.initiate(child, check=False)
    log = alice.log()
    begun = re.search(r'^([\d.]+) .*initiating IKE_SA', log, re.M)
    done = re.search(r'^([\d.]+) .*IKE_SA .* established between', log, re.M)
    if not begun or not done:
        return None
    sizes = [int(n) for n in re.findall(r'(?:sending|received) packet: .*\((\d+) bytes\)', log)]
    return float(done.group(1)) - float(begun.group(1)), len(sizes), sum(sizes)


def main():
    settings = {'retransmit_timeout': '1.0', 'retransmit_tries': '8'}
    with charons(connections, qkd=QKD, charon=settings) as (alice, _):
        for name, how in PATHS.items():
            found = {kind: [] for kind in KINDS}
            with impair(*how) if how else contextlib.nullcontext():
                for _ in range(COUNT):
                    for i, kind in enumerate(KINDS):
                        found[kind].append(set_up(alice, f'c{i}'))
            alice.terminate()
            report(name, found)


def report(name, found):
    base = None
    for kind, tries in found.items():
        good = [each for each in tries if each] or [(float('nan'), 0, 0)]
        time, packets, size = (statistics.median(column) for column in zip(*good))
        base = base or time
        print(f'IKE_SA, {name}: {kind}: {time * 1000:.0f} ms (/ x25519 = {time / base:.2f}), '
              f'{packets:.0f} packets, {size:.0f} bytes; {sum(map(bool, tries))} of {len(tries)} came up',
              flush=True)


if __name__ == '__main__':
    try:
        wire_up()
        main()
    finally:
        take_down()
