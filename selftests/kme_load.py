# SPDX-License-Identifier: GPL-2.0-only
"""Many clients of two qkd-kme at once: no key twice, none lost, memory that stays."""
import contextlib
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

import accounts                                             # noqa: E402
import genl                                                 # noqa: E402
from kme_lib import (DIR, LINKS, PORT, SAES, Kme, certificates, sections,   # noqa: E402
                     take_down, wait_for_key, wire_up)
from ktap import equal, run, scaled                         # noqa: E402
from netns import PATIENCE, inside, until                   # noqa: E402

CLIENTS, KEYS = scaled(200, 8), scaled(100000, 400)
UNIT, A2B_KEY = 32, 1
MORE = f'connections = {2 * CLIENTS + 8}\nconnections-per-address = {2 * CLIENTS + 8}\n' \
       'timeout = 10m'


def load(clients, keys, number):
    done = subprocess.run([f'{HERE}/tools/kme_load', 'run', DIR, str(PORT), 'kma', 'kmb',
                           str(clients), str(keys), str(number)], capture_output=True, text=True,
                          check=False, timeout=1500 * PATIENCE)
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    return json.loads(done.stdout)


def link(site):
    with inside(f'km{site}'):
        return genl.Qkd().do('link-get', name=LINKS[site])


def resident(kme):
    """KiB of memory that a process has."""
    with open(f'/proc/{kme.process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def delivered():
    """What both KMEs say that left: allocated at A, claimed at B; and burnt."""
    a, b = kme_a.stats(), kme_b.stats()
    return a['keys allocated'], b['claimed'], a['burnt'] + b['burnt']


def taken():
    """Keys' worth of bytes that the links say were taken: at A's tx, at B's rx."""
    return tuple(accounts.streams(link(site))[A2B_KEY]['taken'] // UNIT for site in SAES)


def check(said, clients, keys, before):
    equal((said['keys'], said['ids_twice'], said['keys_twice']), (keys, 0, 0), said)
    now = delivered(), taken()
    equal([n - m for n, m in zip(now[0], before[0])], [keys, keys, 0], 'keys by the KMEs')
    equal([n - m for n, m in zip(now[1], before[1])], [keys, keys], 'keys by the links')
    return (f'{clients} clients, {keys} keys, {said["per_second"]:.0f} keys/s, '
            f'enc {said["enc_ms"][0]:.0f} ms, dec {said["dec_ms"][0]:.0f} ms, '
            f'{said["retries"]} times without key')


def many(what, number, share):
    def test():
        keys = max(CLIENTS, KEYS * share // 100)
        before = delivered(), taken()
        said = load(CLIENTS, keys, number)
        return check(said, CLIENTS, keys, before)
    test.__doc__ = what
    return test


def test_memory():
    """memory is the same after as many again, and nothing of the clients is left"""
    before = [resident(kme) for kme in (kme_a, kme_b)]
    for _ in range(3):
        load(CLIENTS, max(CLIENTS, KEYS // 20), 8)
    after = [resident(kme) for kme in (kme_a, kme_b)]
    for old, new in zip(before, after):
        if new > old + 2048:
            raise AssertionError(f'{before} KiB, then {after}')
    until(lambda: len(os.listdir(f'/proc/{kme_a.process.pid}/fd')) < 40, 'connections end')
    return f'{before} KiB, then {after}'


def test_accounts():
    """both ends' accounts add up, at each end and across"""
    kme_a.stop_supply()
    ends = [link(site) for site in SAES]
    for end in ends:
        equal(accounts.problems_of_end(end), [])
    equal(accounts.problems_across(*ends), [])
    equal([end['refused'].get('duplicate', 0) for end in ends], [0, 0], 'duplicates')


TESTS = [
    many('all clients at once, a key in each call: none twice, none lost', 1, 10),
    many('likewise with sixteen keys in each call', 16, 90),
    test_memory, test_accounts,
]

if __name__ == '__main__':
    with contextlib.ExitStack() as stack:
        stack.callback(take_down)
        certificates()
        wire_up('rate', '100mbit', 'key-capacity', '4M')
        kme_a, kme_b = Kme('a', sections('a', more=MORE)), Kme('b', sections('b', more=MORE))
        for each in (kme_a, kme_b):
            stack.callback(each.stop)
            each.start()
        wait_for_key('a', 65536)
        run(TESTS)
