# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_peers; run by ike_peers.sh."""
import contextlib
import re

from ike_lib import (ALICE, BOB, CHARONS, FQDN, INNER, PROPOSAL, connection, ping, ppk_ids,
                     ppk_of, spent, take_down, taken, until, wire_up)
from ike_others import Libreswan, Strongswan
import keys
from ktap import equal, run
from process import nowhere
import link as links

MLKEM = f'{PROPOSAL}-ke1_mlkem768'
HYBRID = f'{PROPOSAL}-ke1_qkd_mlkem768'
PPK = {'ppk_id': 'qkd:qkd0'}
UNIT = links.UNIT


@contextlib.contextmanager
def facing(peer, **ours):
    """Our charon, and that peer in bob's place."""
    alice = CHARONS[ALICE]
    try:
        alice.configure({'site': connection(ALICE, proposals=peer.ike, **ours)})
        alice.start()
        alice.forget()
        peer.begin()
        yield alice
    finally:
        alice.stop()
        peer.stop()


def allocated():
    """The ID of a key of bob's end, for him as the initiator."""
    context = bytes([FQDN]) + b'bob.example'
    issued, = BOB.do('key-get', link_name='qkd0', class_='control', size=32, count=1,
                     context_type='ppk', context=context)['issued']
    return keys.uuid(issued['id'])


def is_up(charon, words):
    """Exactly one IKE_SA, of these methods, whose tunnel carries packets."""
    said = until(lambda: charon.established() and charon.swanctl('--list-sas'), 'established')
    equal(re.findall(r'^  [^/\s]+/[^/]+/[^/]+(/\S+)$', said, re.M), [words], said)
    equal(ping(), 0, 'lost')


def down(charon):
    charon.terminate()
    equal(charon.sas(), [], 'IKE_SAs')


def both_ways(alice, peer, words):
    """Set up by either end."""
    alice.initiate()
    is_up(alice, words)
    down(alice)
    peer.try_up()
    is_up(alice, words)
    down(alice)


def test_mlkem():
    """unstable's strongSwan: ML-KEM of its OpenSSL's against our plugin's, of all sizes"""
    for size in (512, 768, 1024):
        peer = Strongswan(ike=f'{PROPOSAL}-ke1_mlkem{size}')
        with facing(peer) as alice:
            both_ways(alice, peer, f'/CURVE_25519/KE1_ML_KEM_{size}')
            version = peer.version()
    return version


def test_rekeying():
    """unstable's strongSwan: either end rekeys the IKE_SA with ML-KEM"""
    peer = Strongswan(ike=MLKEM)
    with facing(peer) as alice:
        alice.initiate()
        for charon in (alice, peer):
            old = alice.sas()[0]['uniqueid']
            charon.swanctl('--rekey', '--ike', 'site')
            until(lambda: [sa['uniqueid'] for sa in alice.sas()] not in ([], [old]) and
                  len(alice.sas()) == 1, 'it is rekeyed')
            is_up(alice, '/CURVE_25519/KE1_ML_KEM_768')


def ours_is_held(peer, words):
    """The peer learns the key that our failed attempt named before the next one."""
    before = taken()
    with facing(peer, **PPK) as alice:
        peer.hold({'nobody': bytes(32)})
        alice.fails()
        ident, = set(ppk_ids(alice.log()))
        peer.hold({ident: bytes(32)})
        alice.fails()
        peer.hold({ident: ppk_of(ident)})
        alice.initiate()
        is_up(alice, words)
        equal(set(ppk_ids(alice.log())), {ident}, 'PPK_IDs')
    equal(taken()['alice', 'a2b-key'] - before['alice', 'a2b-key'], UNIT, 'bytes of alice')


def test_ppk_of_ours():
    """unstable's strongSwan: a PPK that we name, held by it, beside ML-KEM"""
    ours_is_held(Strongswan(ike=MLKEM), '/CURVE_25519/KE1_ML_KEM_768/PPK')


def test_libreswan_ppk_of_ours():
    """Libreswan: a PPK that we name, held by it"""
    ours_is_held(Libreswan(), '/CURVE_25519/PPK')


def theirs_is_found(peer, words):
    """The peer names a key: with another one in its place it takes nothing from us."""
    ident = allocated()
    before = ALICE.taken('b2a-key')
    with facing(peer, **PPK) as alice:
        nobody = ident[:-1] + ('0' if ident[-1] != '0' else '1')
        for wrong, key in ((ident, bytes(32)), (nobody, ppk_of(ident, BOB))):
            peer.hold({wrong: key}, offer=wrong)
            alice.forget()
            peer.try_up()
            equal(alice.established(), [], 'IKE_SAs')
            equal(ppk_ids(alice.log(), 'received'), [wrong], 'PPK_IDs')
        equal(ALICE.taken('b2a-key') - before, 0, 'bytes of alice')
        peer.hold({ident: ppk_of(ident, BOB)}, offer=ident)
        peer.try_up()
        is_up(alice, words)
        equal(ALICE.taken('b2a-key') - before, UNIT, 'bytes of alice')
        down(alice)
        # It is spent.
        alice.forget()
        peer.try_up()
        equal(ppk_ids(alice.log(), 'received'), [ident], 'PPK_IDs')
        equal(alice.established(), [], 'IKE_SAs')
        equal(ALICE.taken('b2a-key') - before, UNIT, 'bytes of alice')


def test_ppk_of_theirs():
    """unstable's strongSwan: a PPK that it names, once, beside ML-KEM"""
    theirs_is_found(Strongswan(ike=MLKEM), '/CURVE_25519/KE1_ML_KEM_768/PPK')


def test_libreswan_ppk_of_theirs():
    """Libreswan: a PPK that it names, once"""
    theirs_is_found(Libreswan(), '/CURVE_25519/PPK')


def refused_without_ppk(charon):
    equal(charon.established(), [], 'IKE_SAs')
    equal(len(charon.said('PPK required but')), 1, charon.log())


def none_is_refused(peer):
    """A peer that has no PPK at all."""
    before = taken()
    with facing(peer, **PPK) as alice:
        alice.fails()
        refused_without_ppk(alice)
        alice.forget()
        peer.try_up()
        refused_without_ppk(alice)
    equal(taken(), before, 'keys')


def test_no_ppk():
    """unstable's strongSwan without a PPK is refused, either way, and costs no key"""
    none_is_refused(Strongswan())


def test_libreswan_no_ppk():
    """Libreswan without a PPK is refused, either way, and costs no key"""
    none_is_refused(Libreswan(ppk='no'))


def test_libreswan_plain():
    """Libreswan: without a PPK where our connection has none"""
    peer = Libreswan(ppk='no')
    with facing(peer) as alice:
        both_ways(alice, peer, '/CURVE_25519')
        return peer.version()


def test_plugin():
    """unstable's strongSwan with the plugin: PPK, and QKD with ML-KEM, either way"""
    peer = Strongswan(plugin=True, ike=HYBRID, **PPK)
    before = taken()
    with facing(peer, **PPK) as alice:
        both_ways(alice, peer, '/CURVE_25519/KE1_QKD_ML_KEM_768/PPK')
        equal(spent(before), (3, 3), 'keys')
        # Its own ML-KEM stays in its place; ours fills Debian 13's gap.
        for charon, provider in ((alice, 'qkd'), (peer, 'openssl')):
            said = charon.swanctl('--list-algs')
            if f'ML_KEM_768[{provider}]' not in said:
                raise AssertionError(said)
        return peer.version()


def test_plugin_requires():
    """unstable's strongSwan with the plugin does not go on without a PPK, either way"""
    peer = Strongswan(plugin=True, **PPK)
    before = taken()
    with facing(peer) as alice:
        alice.fails()
        refused_without_ppk(peer)
        peer.forget()
        peer.try_up()
        refused_without_ppk(peer)
    equal(taken(), before, 'keys')


def test_plugin_secrets():
    """unstable's strongSwan with the plugin: no PPK in the most talkative log or memory"""
    peer = Strongswan(plugin=True, level=4, **PPK)
    with facing(peer, **PPK) as alice:
        both_ways(alice, peer, '/CURVE_25519/PPK')
        idents = ppk_ids(peer.log(), 'received') + ppk_ids(peer.log())
        equal(len(idents), 2, 'PPK_IDs')
        nowhere([ppk_of(idents[0]), ppk_of(idents[1], BOB)], peer.pid, peer.log())
        for secret in ('Sk_d', 'PPK', 'key exchange secret'):
            equal(peer.said(f'{secret} => '), [], 'lines')


def route():
    """Libreswan leaves routes to a script that is not in its tree."""
    BOB.ip('route', 'add', f'{INNER["alice"]}/32', 'via', ALICE.address, 'src', INNER['bob'])


if __name__ == '__main__':
    try:
        wire_up()
        route()
        run([test_mlkem, test_rekeying, test_ppk_of_ours, test_ppk_of_theirs, test_no_ppk,
             test_plugin, test_plugin_requires, test_plugin_secrets, test_libreswan_plain,
             test_libreswan_ppk_of_ours, test_libreswan_ppk_of_theirs,
             test_libreswan_no_ppk])
    finally:
        take_down()
