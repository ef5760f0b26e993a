# SPDX-License-Identifier: GPL-2.0-only
"""The selftest macsec_sak; run by macsec_sak.sh."""
import os
import re
import signal
import time

from macsec_lib import (ALICE, BOB, ETH_P_ECPRI, SITES, Capture, Stream, generation,
                        link_anew, packet_socket, run as command, set_up, tear_down, until)
from macsec_daemon import (DAEMONS, Rotations, agreed, current, daemons, flowing, shown,
                           wire_up)
import sak
from process import memory_of
from ktap import equal, run, scaled

SUITE = 'gcm-aes-256'
PN_DUE = 3 << 30


def rotate(count, seconds=None):
    """Until both sites have made so many SAKs; all differ."""
    seen = Rotations()
    try:
        until(lambda: all(seen.count(site) >= count for site in SITES), f'{count} rotations',
              seconds or 60 + 3 * count)
        idents = [ident for site in SITES for ident in seen.ids[site]]
    finally:
        seen.close()
    equal(len(set(idents)), len(idents), 'key IDs')
    return idents


def spent(site):
    return site.taken(site.tx_stream)


def in_use(site):
    """macsec has the SAK that the ends agree on, at both; it lasts for 100 ms."""
    found = agreed(site)
    key = found and found[0].replace('-', '')
    return key in site.secy().values() and key in site.peer.secy().values()


def suite_test(suite):
    def test():
        count = scaled(250, 5)
        with daemons(suite, rekey_time='100ms'):
            made = [shown(site)['installed'] for site in SITES]
            before = [spent(site) for site in SITES]
            with flowing() as both:
                rotate(count)
            for site, old, units in zip(SITES, made, before):
                until(lambda s=site: in_use(s), 'the ends agree, and iproute2 shows it')
                if (spent(site) - units) // 32 > shown(site)['installed'] - old:
                    raise AssertionError('key was spent on no SA')
        return f'{count} rotations each way, {sum(s.sent for s in both)} frames'
    test.__doc__ = f'{suite}: SAKs rotate both ways under traffic, no frame lost or late'
    return test


def replay(frames):
    """Sends frames again; how many bob accepts of them."""
    def accepted():
        return sum(sa['macsec']['frames'] for sa in shown(BOB)['sas'] if sa['dir'] == 'rx')
    before = accepted()
    sock = packet_socket('alice', 'va', ETH_P_ECPRI)
    for frame in frames:
        sock.send(frame)
    sock.close()
    time.sleep(1)
    return accepted() - before


def test_replay():
    """frames that are sent again, of this SAK and of the last, are refused"""
    with daemons(SUITE, window=0, rekey_time='1h', max_time='2h'):
        with Capture('bob', 'vb') as old:
            with Stream(ALICE):
                time.sleep(0.5)
        rekey_by_pn(ALICE)
        with Capture('bob', 'vb') as new:
            with Stream(ALICE):
                time.sleep(0.5)
        sent = [f for f in old.frames + new.frames
                if f[12:14] == sak.ETHERTYPE and f[6:12] == bytes.fromhex(
                    ALICE.mac.replace(':', ''))]
        if len(sent) < 50:
            raise AssertionError(f'{len(sent)} frames')
        equal(replay(sent), 0, 'accepted')
    return f'{len(sent)} frames'


def set_pn(site, an, pn):
    site.ip('macsec', 'set', 'macsec0', 'tx', 'sa', an, 'pn', pn)


def rekey_by_pn(site):
    """As if this site had sent so many frames."""
    ident, an = until(lambda: agreed(site), 'the ends agree')
    set_pn(site, an, PN_DUE + 1)
    until(lambda: (agreed(site) or (ident, an))[0] != ident, 'another SAK')


def test_pn():
    """three quarters of the packet numbers are used: the next SAK, without loss"""
    with daemons(SUITE, rekey_time='1h', max_time='2h'):
        with flowing():
            for site in SITES:
                rekey_by_pn(site)
            time.sleep(1)


def test_wrap():
    """packet numbers run out while the daemons are away: the device blocks, until they come"""
    with daemons(SUITE, rekey_time='1h', max_time='2h'):
        for site in SITES:
            DAEMONS[site].stop()
        ident, an = agreed(ALICE)
        set_pn(ALICE, an, (1 << 32) - 5)
        with Capture('alice', 'va') as capture, Stream(ALICE) as stream:
            time.sleep(2)
        pns = [int.from_bytes(f[16:20], 'big') for f in capture.frames
               if f[12:14] == sak.ETHERTYPE and
               f[6:12] == bytes.fromhex(ALICE.mac.replace(':', ''))]
        equal(pns, list(range((1 << 32) - 5, 1 << 32)), 'packet numbers')
        equal(len(stream.numbers), 5, 'frames that arrived')
        for site in SITES:
            DAEMONS[site].start()
        until(lambda: (agreed(ALICE) or (ident, an))[0] != ident, 'another SAK')
        with Stream(ALICE) as stream:
            time.sleep(0.5)
        equal(stream.problems(), (0, 0))


def test_packets():
    """rekey-packets: a SAK for about so many frames"""
    with daemons(SUITE, rekey_time='1h', max_time='2h', rekey_packets=100):
        with flowing():
            rotate(scaled(50, 4))


def test_time():
    """rekey-time: SAKs follow each other in that time, with traffic or without"""
    with daemons(SUITE, rekey_time='1s'):
        start = time.monotonic()
        rotate(5)
        took = time.monotonic() - start
        if took < 4:
            raise AssertionError(f'{took:.1f} s')
        return f'5 in {took:.1f} s'


def test_auto():
    """rekey-time auto: seldom where the link has little key, often where it has much"""
    def in_time():
        seen = Rotations()
        time.sleep(6)
        count = seen.count(ALICE)
        seen.close()
        return count

    link_anew(key_capacity=64 << 10)
    with daemons(SUITE), flowing():
        often = in_time()
        for site in SITES:
            site.link_rate(40)
        seldom = in_time()
    link_anew()
    if not 2 * seldom < often:
        raise AssertionError(f'{often}, then {seldom} in 6 s')
    return f'{often}, then {seldom} in 6 s'


def test_command():
    """the command shows it: key ID, AN, PN, age, frames, and that macsec has the same"""
    with daemons(SUITE, rekey_time='1h', max_time='2h'):
        with Stream(ALICE):
            time.sleep(1)
        text = ALICE.qkd('-s', 'macsec', 'show')
        for pattern in (r'tx an \d sci', r'state installed key-id [0-9a-f-]{36} age \d',
                        r'macsec: key same pn \d+ frames [1-9]\d* active encoding operational'):
            if not re.search(pattern, text):
                raise AssertionError(text)


def pid_of(site):
    return DAEMONS[site].process.pid


def test_secrets():
    """no SAK is in the daemons' memory, logs or a core; key IDs are (so that it was looked)"""
    with daemons(SUITE, rekey_time='200ms'):
        seen = Rotations()
        ans = {}
        count = scaled(50, 8)

        def note():
            for site in SITES:
                found = current(site)
                if found:
                    ans[found[0]] = (site, found[1])
            return all(seen.count(site) >= count for site in SITES)
        until(note, 'rotations', 120)
        seen.close()
        idents = {bytes.fromhex(i.replace('-', '')): (s, an) for i, (s, an) in ans.items()}
        saks = [sak.of_id(generation(), ident, site.sci, an, SUITE).key
                for ident, (site, an) in idents.items()]
        ids_found = 0
        for site in SITES:
            memory = memory_of(pid_of(site))
            ids_found += sum(ident in memory for ident in idents)
            for key in saks:
                for part in (key[:16], key[16:], key[::-1][:16]):
                    if part in memory or part.hex().encode() in memory:
                        raise AssertionError(f'a SAK in {site.name}')
        if not ids_found:
            raise AssertionError('no key ID was found either')
        command('sysctl', '-q', 'kernel.core_pattern=/run/qkd/core.%p')
        pids = [pid_of(site) for site in SITES]
        for site in SITES:
            text = '\n'.join(DAEMONS[site].lines())
            for key in saks:
                if key[:16].hex() in text.lower():
                    raise AssertionError(f'a SAK in the log of {site.name}')
            DAEMONS[site].stop(signal.SIGABRT)
        equal([p for p in pids if os.path.exists(f'/run/qkd/core.{p}')], [], 'cores')
        return f'{len(saks)} SAKs'


if __name__ == '__main__':
    try:
        set_up()
        wire_up()
        run([*(suite_test(suite) for suite in sak.SUITES), test_time, test_packets, test_pn,
             test_wrap, test_replay, test_auto, test_command, test_secrets])
    finally:
        tear_down()
