# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_ppk; run by ike_ppk.sh."""
import concurrent.futures
import re
import time

from ike_lib import (ALICE, BOB, FQDN, SITES, charons, connection, ping, ppk_ids,
                     ppk_of, spent, take_down, taken, until, wire_up)
from process import nowhere
from ktap import equal, run, scaled

QKD = {'ppk_id': 'qkd:qkd0'}


def with_ppk(site, **more):
    return {'site': connection(site, **{**QKD, **more})}


def plain(site):
    return {'site': connection(site)}


def used_ppk(charon, count=1):
    """Each IKE_SA was made with a PPK, as charon itself says."""
    text = charon.swanctl('--list-sas')
    equal(len(re.findall(r'^ .*/PPK$', text, re.M)), count, text)


def same_ids(alice, bob):
    """What one sent the other received; they all differ."""
    ids = ppk_ids(alice.log())
    equal(ppk_ids(bob.log(), 'received'), ids, 'PPK_IDs')
    equal(len(set(ids)), len(ids), 'PPK_IDs')
    return ids


def test_one():
    """an IKE_SA takes one key, each end the same; the tunnel carries packets"""
    before = taken()
    with charons(with_ppk) as (alice, bob):
        alice.initiate()
        for charon in (alice, bob):
            used_ppk(charon)
        equal(ping(), 0, 'lost')
        same_ids(alice, bob)
        equal(spent(before), (1, 0), 'keys')


def test_either_end():
    """bob initiates: the key is of his side of the link"""
    before = taken()
    with charons(with_ppk) as (alice, bob):
        bob.initiate()
        used_ppk(alice)
        same_ids(bob, alice)
        equal(spent(before), (0, 1), 'keys')


def test_rekeying():
    """rekeying takes no key, reauthentication takes another one"""
    before = taken()
    with charons(with_ppk) as (alice, bob):
        alice.initiate()
        alice.swanctl('--rekey', '--ike', 'site')
        until(lambda: len(alice.established()) == 1 and alice.said('rekeyed between'),
              'the IKE_SA is rekeyed')
        used_ppk(alice)
        equal(spent(before), (1, 0), 'keys')
        alice.swanctl('--rekey', '--ike', 'site', '--reauth')
        until(lambda: len(ppk_ids(alice.log())) == 2 and len(alice.established()) == 1,
              'the IKE_SA is reauthenticated')
        used_ppk(alice)
        same_ids(alice, bob)
        equal(spent(before), (2, 0), 'keys')


def test_many():
    """IKE_SAs by the hundred, ten at a time, then reauthenticated: each has its own key"""
    before = taken()
    count = scaled(250, 20)
    with charons(with_ppk) as (alice, bob):
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: alice.initiate(), range(count)))
        equal(len(alice.established()), count, 'IKE_SAs')
        numbers = [sa['uniqueid'] for sa in alice.established()]
        for i in range(0, count, 10):
            for number in numbers[i:i + 10]:
                alice.swanctl('--rekey', '--ike-id', number, '--reauth')
            until(lambda most=min(count + i + 10, 2 * count):
                  len(alice.said('established between')) == most, 'reauthenticated', 60)
        until(lambda: len(alice.sas()) == len(alice.established()) == count, 'old ones gone', 60)
        used_ppk(alice, count)
        ids = ppk_ids(alice.log())
        equal(sorted(ppk_ids(bob.log(), 'received')), sorted(ids), 'PPK_IDs')
        equal(len(set(ids)), 2 * count, 'PPK_IDs')
        equal(spent(before), (2 * count, 0), 'keys')
        for charon in (alice, bob):
            equal(charon.said('AUTHENTICATION_FAILED') + charon.said('AUTH_FAILED'), [], 'failed')
    return f'{2 * count} IKE_SAs'


def test_no_answer():
    """answers get lost: what is sent again has the same key"""
    before = taken()
    with charons(with_ppk) as (alice, bob):
        # The answer to the second message is the first from port 4500.
        BOB.exec('nft', 'add table inet lost')
        BOB.exec('nft', 'add chain inet lost out { type filter hook output priority 0; }')
        BOB.exec('nft', 'add rule inet lost out udp sport 4500 drop')
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                done = pool.submit(alice.initiate)
                until(lambda: alice.said('retransmit 1 of request with message ID 1'),
                      'it is sent again')
                BOB.exec('nft', 'flush chain inet lost out')
                done.result()
        finally:
            BOB.exec('nft', 'delete table inet lost')
        same = ppk_ids(alice.log())
        equal(len(set(same)), 1, 'PPK_IDs')
        equal(spent(before), (1, 0), 'keys')


def test_attempts():
    """attempts without an authenticated answer share one key; it is the peer's untouched"""
    before = taken()
    with charons(with_ppk) as (alice, bob):
        bob.load_with(with_ppk(BOB))
        bob.write('swanctl.conf', {'connections': with_ppk(BOB),
                                   'secrets': {'ike-1': {'secret': '"another one"'}}})
        bob.swanctl('--load-all', '--clear')
        for _ in range(3):
            alice.fails()
        equal(len(set(ppk_ids(alice.log()))), 1, 'PPK_IDs')
        now = taken()
        equal(now['alice', 'a2b-key'] - before['alice', 'a2b-key'], 32, 'bytes of alice')
        equal(now['bob', 'a2b-key'], before['bob', 'a2b-key'], 'bytes of bob')
        bob.load_with(with_ppk(BOB))
        bob.swanctl('--load-all', '--clear')
        alice.initiate()
        equal(len(set(ppk_ids(alice.log()))), 1, 'PPK_IDs')
        equal(spent(before), (1, 0), 'keys')
        if scaled(100) < 100:
            return 'the minute after which it is another one: in test-long'
        alice.terminate()
        bob.write('swanctl.conf', {'connections': with_ppk(BOB),
                                   'secrets': {'ike-1': {'secret': '"another one"'}}})
        bob.swanctl('--load-all', '--clear')
        alice.fails()
        time.sleep(62)
        alice.fails()
        equal(len(set(ppk_ids(alice.log()))), 3, 'PPK_IDs')
        return 'and another one after a minute'


def test_without_plugin():
    """a charon without the plugin holds the key as an ordinary PPK"""
    before = taken()
    with charons(with_ppk, plugins=(True, False)) as (alice, bob):
        bob.load_with({'site': connection(BOB, ppk_id='*', ppk_required='yes')},
                      {'ppk-1': {'secret': '0x' + bytes(32).hex(), 'id': 'nobody'}})
        bob.swanctl('--load-all', '--clear')
        alice.fails()
        ident = ppk_ids(alice.log())[0]
        bob.load_with({'site': connection(BOB, ppk_id='*', ppk_required='yes')},
                      {'ppk-1': {'secret': '0x' + ppk_of(ident).hex(), 'id': f'"{ident}"'}})
        bob.swanctl('--load-all', '--clear')
        alice.initiate()
        for charon in (alice, bob):
            used_ppk(charon)
        equal(set(ppk_ids(alice.log())), {ident}, 'PPK_IDs')
        equal(ping(), 0, 'lost')
        now = taken()
        equal(now['alice', 'a2b-key'] - before['alice', 'a2b-key'], 32, 'bytes of alice')


def test_from_without():
    """a charon without the plugin sends the ID of such a key, and is understood"""
    context = bytes([FQDN]) + b'bob.example'
    got = BOB.do('key-get', link_name='qkd0', class_='control', size=32, count=1,
                 context_type='ppk', context=context)
    ident = got['issued'][0]['id'] if isinstance(got['issued'], list) else got['issued']['id']
    ident = ident if isinstance(ident, str) else ident.hex()
    ident = '-'.join(re.fullmatch(r'(.{8})-?(.{4})-?(.{4})-?(.{4})-?(.{12})', ident).groups())
    rx = ALICE.taken('b2a-key')
    with charons(with_ppk, plugins=(True, False)) as (alice, bob):
        bob.load_with({'site': connection(BOB, ppk_id=ident, ppk_required='yes')},
                      {'ppk-1': {'secret': '0x' + ppk_of(ident, BOB).hex(), 'id': f'"{ident}"'}})
        bob.swanctl('--load-all', '--clear')
        bob.initiate()
        for charon in (alice, bob):
            used_ppk(charon)
        equal(ALICE.taken('b2a-key') - rx, 32, 'bytes of alice')
        # It is spent: not again.
        bob.terminate()
        bob.fails()
        equal(ALICE.taken('b2a-key') - rx, 32, 'bytes of alice')


def test_no_downgrade():
    """neither end goes on without a PPK, though ppk_required is not set"""
    before = taken()
    for plugins, connections in (((False, True), (plain, with_ppk)), ((True, False), (with_ppk, plain))):
        made = dict(zip(SITES, connections))
        with charons(lambda site: made[site](site), plugins=plugins) as (alice, bob):
            alice.fails()
            equal(alice.established() + bob.established(), [], 'IKE_SAs')
            text = alice.log() + bob.log()
            if 'PPK required but' not in text:
                raise AssertionError(text)
    equal(spent(before), (0, 0), 'keys')


def test_fallback():
    """where the operator names the fallback, a peer without PPKs is taken"""
    before = taken()
    with charons(lambda site: with_ppk(site) if site is ALICE else plain(site),
                 plugins=(True, False),
                 qkd={'connections': {'site': {'fallback': 'no-ppk'}}}) as (alice, bob):
        alice.initiate()
        used_ppk(alice, 0)
        equal(ping(), 0, 'lost')
    equal(spent(before), (0, 0), 'keys')


def test_secrets():
    """no PPK is in the most talkative log, in memory or a core; IDs are in the log"""
    with charons(with_ppk, level=4) as (alice, bob):
        for _ in range(scaled(20, 3)):
            alice.initiate()
        keys = [ppk_of(ident) for ident in same_ids(alice, bob)]
        for charon in (alice, bob):
            nowhere(keys, charon.pid, charon.log())
            for secret in ('Sk_d', 'PPK', 'key exchange secret'):
                equal(charon.said(f'{secret} => '), [], 'lines')
            with open(f'/proc/{charon.pid}/limits', encoding='ascii') as file:
                limits = file.read()
            if not re.search(r'^Max core file size\s+0\s+0', limits, re.M):
                raise AssertionError(limits)
    return f'{len(keys)} PPKs'


def test_log_control():
    """control: a charon without the plugin logs SK_d at that level"""
    with charons(plain, plugins=(False, False), level=4) as (alice, _):
        alice.initiate()
        if not alice.said('Sk_d secret => '):
            raise AssertionError('no such line')


if __name__ == '__main__':
    try:
        wire_up()
        run([test_one, test_either_end, test_rekeying, test_many, test_no_answer, test_attempts,
             test_without_plugin, test_from_without, test_no_downgrade, test_fallback,
             test_secrets, test_log_control])
    finally:
        take_down()
