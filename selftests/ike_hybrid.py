# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_hybrid; run by ike_hybrid.sh."""
import re

from ike_lib import (PROPOSAL, charons, connection, ke_ids, ke_keys, ping, spent, take_down, taken,
                     until, wire_up)
from process import nowhere
from ktap import equal, run, scaled

SOURCE = {'connections': {'site': {'source': 'qkd0'}}}


def proposing(ike, esp='aes256gcm16'):
    return lambda site: {'site': connection(site, {'net': {'esp_proposals': esp}}, proposals=ike)}


def exchanges(charon):
    """How many requests the set-up took."""
    return len(re.findall(r'generating \w+ request \d+ \[ (?!EF)', charon.log()))


def test_methods():
    """both methods set up tunnels, are named, and take a key of each end"""
    for bits in (768, 1024):
        before = taken()
        with charons(proposing(f'{PROPOSAL}-ke1_qkd_mlkem{bits}'), qkd=SOURCE) as (alice, bob):
            alice.initiate()
            for charon in (alice, bob):
                said = charon.swanctl('--list-sas')
                if f'/CURVE_25519/KE1_QKD_ML_KEM_{bits}\n' not in said:
                    raise AssertionError(said)
            equal(ping(), 0, 'lost')
            equal(ke_ids(alice.log()), ke_ids(bob.log()), 'key IDs')
            equal(spent(before), (1, 1), 'keys')


def test_parallel():
    """it saves the round trip of the second exchange"""
    counts = []
    for ike in ('ke1_mlkem768-ke2_qkd', 'ke1_qkd_mlkem768'):
        with charons(proposing(f'{PROPOSAL}-{ike}'), qkd=SOURCE) as (alice, _):
            alice.initiate()
            counts.append(exchanges(alice))
    equal(counts, [4, 3], 'requests one after the other, and in parallel')


def test_rekeying():
    """CHILD_SA and IKE_SA are rekeyed with fresh keys of both kinds"""
    before = taken()
    with charons(proposing(f'{PROPOSAL}-ke1_qkd_mlkem768', 'aes256gcm16-x25519-ke1_qkd_mlkem1024'),
                 qkd=SOURCE) as (alice, bob):
        alice.initiate()
        alice.swanctl('--rekey', '--child', 'net')
        until(lambda: alice.said('rekeyed CHILD_SA net'), 'the CHILD_SA is rekeyed')
        if 'KE1_QKD_ML_KEM_1024' not in bob.swanctl('--list-sas'):
            raise AssertionError(bob.swanctl('--list-sas'))
        equal(ping(), 0, 'lost')
        alice.swanctl('--rekey', '--ike', 'site')
        until(lambda: alice.said('rekeyed between') and len(alice.sas()) == 1, 'rekeyed')
        equal(len(ke_ids(bob.log())), 3, 'exchanges')
        equal(spent(before), (3, 3), 'keys')


def test_mismatch():
    """methods that differ, by name or by their number: no proposal chosen, nothing taken"""
    before = taken()
    for ike, qkd in (('ke1_qkd_mlkem1024', SOURCE),
                     ('ke1_qkd_mlkem768', {**SOURCE, 'ke_method': 2000})):
        with charons(proposing(f'{PROPOSAL}-ke1_qkd_mlkem768'), qkd=SOURCE) as (alice, bob):
            bob.stop()
            bob.configure(proposing(f'{PROPOSAL}-{ike}')(bob.site), qkd=qkd)
            bob.start()
            alice.fails()
            if not alice.said('NO_PROPOSAL_CHOSEN'):
                raise AssertionError(alice.log())
    equal(spent(before), (0, 0), 'keys')


def test_number():
    """the methods' number can be another one, at both ends"""
    with charons(proposing(f'{PROPOSAL}-ke1_qkd_mlkem768'),
                 qkd={**SOURCE, 'ke_method': 2000}) as (alice, _):
        alice.initiate()
        if 'KE1_QKD_ML_KEM_768' not in alice.swanctl('--list-sas'):
            raise AssertionError(alice.swanctl('--list-sas'))


def test_secrets():
    """no key of QKD is in the most talkative log or in memory"""
    with charons(proposing(f'{PROPOSAL}-ke1_qkd_mlkem768'), qkd=SOURCE, level=4) as (alice, bob):
        for _ in range(scaled(10, 2)):
            alice.initiate()
        keys = [key for pair in ke_ids(alice.log()) for key in ke_keys(pair, 'qkd_mlkem768')]
        for charon in (alice, bob):
            nowhere(keys, charon.pid, charon.log())
    return f'{len(keys)} keys'


if __name__ == '__main__':
    try:
        wire_up()
        run([test_methods, test_parallel, test_rekeying, test_mismatch, test_number, test_secrets])
    finally:
        take_down()
