# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_ke; run by ike_ke.sh."""
import functools

from ike_lib import (ALICE, BOB, PROPOSAL, SITES, charons, connection, ke_ids, ke_keys, ping,
                     secret_of_qkd, spent, take_down, taken, until, wire_up)
from process import nowhere
from ktap import equal, run, scaled

SOURCE = {'connections': {'site': {'source': 'qkd0'}}}


def site_of(site, ike=f'{PROPOSAL}-ke1_qkd', esp='aes256gcm16', **more):
    return {'site': connection(site, {'net': {'esp_proposals': esp}}, proposals=ike, **more)}


def with_ke(**more):
    return functools.partial(site_of, **more)


def same_ids(alice, bob):
    """Both ends name the same keys; all differ."""
    ids = ke_ids(alice.log())
    equal(ke_ids(bob.log()), ids, 'key IDs')
    each = [ident for pair in ids for ident in pair]
    equal(len(set(each)), len(each), 'key IDs')
    return ids


def named(charon, text):
    said = charon.swanctl('--list-sas')
    if text not in said:
        raise AssertionError(f'{text} is not in: {said}')


def test_additional():
    """beside x25519 each end gives a key; both take both when AUTH is verified"""
    before = taken()
    with charons(with_ke(), qkd=SOURCE) as (alice, bob):
        alice.initiate()
        for charon in (alice, bob):
            named(charon, '/CURVE_25519/KE1_QKD\n')
        equal(ping(), 0, 'lost')
        equal(len(same_ids(alice, bob)), 1, 'exchanges')
        equal(spent(before), (1, 1), 'keys')


def test_source_of_ppk():
    """the link of the connection's PPK is that of its key exchange too"""
    before = taken()
    with charons(with_ke(ppk_id='qkd:qkd0')) as (alice, bob):
        alice.initiate()
        named(bob, '/CURVE_25519/KE1_QKD/PPK\n')
        equal(spent(before), (2, 1), 'keys')


def test_two():
    """two exchanges of an IKE_SA never share a key"""
    before = taken()
    with charons(with_ke(ike=f'{PROPOSAL}-ke1_qkd-ke2_qkd_mlkem768'), qkd=SOURCE) as (alice, bob):
        bob.initiate()
        equal(len(same_ids(bob, alice)), 2, 'exchanges')
        equal(spent(before), (2, 2), 'keys')


def test_rekeying():
    """rekeying has fresh keys: the CHILD_SA, alone or beside x25519, and the IKE_SA"""
    for esp in ('aes256gcm16-x25519-ke1_qkd', 'aes256gcm16-qkd'):
        before = taken()
        with charons(with_ke(ike=PROPOSAL, esp=esp), qkd=SOURCE) as (alice, bob):
            alice.initiate()
            equal(spent(before), (0, 0), 'keys')
            alice.swanctl('--rekey', '--child', 'net')
            until(lambda: alice.said('rekeyed CHILD_SA net') and len(ke_ids(bob.log())) == 1,
                  'the CHILD_SA is rekeyed')
            equal(ping(), 0, 'lost')
            same_ids(alice, bob)
            equal(spent(before), (1, 1), 'keys')
    before = taken()
    with charons(with_ke(), qkd=SOURCE) as (alice, bob):
        alice.initiate()
        alice.swanctl('--rekey', '--ike', 'site')
        until(lambda: alice.said('rekeyed between') and len(alice.sas()) == 1, 'rekeyed')
        named(alice, '/CURVE_25519/KE1_QKD\n')
        equal(len(same_ids(alice, bob)), 2, 'exchanges')
        equal(spent(before), (2, 2), 'keys')


def test_first():
    """as the first exchange it is refused, and takes nothing, unless it is allowed"""
    before = taken()
    first = with_ke(ike='aes256-sha256-qkd')
    with charons(first, qkd=SOURCE) as (alice, bob):
        alice.fails()
        equal(len(alice.said('QKD as the first key exchange is refused')), 1, 'lines')
        equal(bob.sas(), [], 'IKE_SAs')
        equal(spent(before), (0, 0), 'keys')
    with charons(first, qkd={**SOURCE, 'ke_first': 'yes'}) as (alice, bob):
        alice.initiate()
        named(bob, '/PRF_HMAC_SHA2_256/QKD\n')
        equal(spent(before), (1, 1), 'keys')


def test_first_responder():
    """a responder refuses it as well, whatever the initiator thinks"""
    before = taken()
    first = with_ke(ike='aes256-sha256-qkd')
    with charons(first, qkd=SOURCE) as (alice, bob):
        alice.stop()
        alice.configure(first(ALICE), qkd={**SOURCE, 'ke_first': 'yes'})
        alice.start()
        alice.fails()
        equal(len(bob.said('QKD as the first key exchange is refused')), 1, 'lines')
        now = taken()
        for stream in ('a2b-key', 'b2a-key'):
            equal(now['bob', stream], before['bob', stream], stream)


def test_attempts():
    """attempts that are not authenticated share their keys, and take none of the peer's"""
    before = taken()
    with charons(with_ke(), qkd=SOURCE) as (alice, bob):
        bob.write('swanctl.conf', {'connections': site_of(BOB),
                                   'secrets': {'ike-1': {'secret': '"another one"'}}})
        bob.swanctl('--load-all', '--clear')
        for _ in range(3):
            alice.fails()
        equal(len(set(ke_ids(alice.log()))), 1, 'pairs of key IDs')
        now = taken()
        equal(now['bob', 'a2b-key'] - before['bob', 'a2b-key'], 0, 'bytes that bob took')
        equal(now['alice', 'b2a-key'] - before['alice', 'b2a-key'], 0, 'bytes that alice took')
        bob.load_with(site_of(BOB))
        bob.swanctl('--load-all', '--clear')
        alice.initiate()
        equal(len(set(ke_ids(alice.log()))), 1, 'pairs of key IDs')
        equal(spent(before), (1, 1), 'keys')


def test_no_source():
    """without a source it fails, and the log says what to set"""
    before = taken()
    for sources in ((SOURCE, {}), ({}, SOURCE)):
        with charons(with_ke()) as (alice, bob):
            for charon, source in zip((alice, bob), sources):
                charon.stop()
                charon.configure(site_of(charon.site), qkd=source)
                charon.start()
                charon.forget()
            alice.fails()
            lines = alice.said('no QKD source') + bob.said('no QKD source')
            equal(len(lines), 1, lines)
    now = taken()
    for site in SITES:
        equal(now[site.name, site.peer.tx_stream], before[site.name, site.peer.tx_stream], 'taken')


def test_secrets():
    """neither keys nor their combination are in the most talkative log or in memory"""
    with charons(with_ke(), qkd=SOURCE, level=4) as (alice, bob):
        for _ in range(scaled(10, 2)):
            alice.initiate()
        ids = same_ids(alice, bob)
        keys = [key for pair in ids for key in ke_keys(pair)] + [secret_of_qkd(p) for p in ids]
        for charon in (alice, bob):
            nowhere(keys, charon.pid, charon.log())
    return f'{len(keys)} keys'


if __name__ == '__main__':
    try:
        wire_up()
        run([test_additional, test_source_of_ppk, test_two, test_rekeying, test_first,
             test_first_responder, test_attempts, test_no_source, test_secrets])
    finally:
        take_down()
