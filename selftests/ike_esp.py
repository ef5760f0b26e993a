# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_esp; run by ike_esp.sh."""
import re
import signal
import subprocess
import time

import macsec_lib
import accounts
from ike_lib import (ALICE, BOB, CHARONS, Pinging, SITES, charons, connection, impair, ping,
                     take_down, until, wire_up)
from ktap import equal, run, scaled

CIPHERS = {'otp': 'QKD_OTP', 'aes': 'QKD_AES', 'hybrid': 'QKD_HYBRID'}
MODES = ('tunnel', 'transport')
LINK = {'connections': {'site': {'source': 'qkd0'}}}


def children(site):
    """One of each cipher and mode, by the name cipher-mode. A responder chooses by
    selectors alone: at bob's the first of a mode serves all."""
    out = {}
    for cipher in CIPHERS:
        esp = f'qkd{cipher}' if site is ALICE else ','.join(f'qkd{name}' for name in CIPHERS)
        out[f'{cipher}-tunnel'] = {'esp_proposals': esp}
        out[f'{cipher}-transport'] = {
            'esp_proposals': esp, 'mode': 'transport',
            'local_ts': f'{site.address}/32', 'remote_ts': f'{site.peer.address}/32'}
    return out


def conns(site, **more):
    return {'site': connection(site, children=children(site), **more)}


def with_child(**child):
    """Connections with the one CHILD_SA net."""
    return lambda site: {'site': connection(site, children={'net': child})}


def installed(site):
    return site.json('esp', 'show')


def nothing_left():
    """At neither end, of the link or of XFRM."""
    for site in SITES:
        equal(installed(site), [], f'SAs of {site.name}')
        equal(site.ip('xfrm', 'state'), '', f'XFRM of {site.name}')


def accounts_hold():
    """At each end, and between them."""
    ends = [accounts.find(site.json('-s', 'link', 'show'), 'qkd0') for site in SITES]
    equal([accounts.problems_of_end(end) for end in ends], [[], []], 'accounts')
    equal(accounts.problems_across(*ends), [], 'accounts of both')


def ping_outer(count=3):
    said = ALICE.exec('ping', '-q', '-i', '0.2', '-c', count, '-W', 5, BOB.address, check=False)
    return count - int(re.search(r'(\d+) received', said)[1])


def counted(charon, packets):
    """--list-sas has the kernel's counters of the one CHILD_SA."""
    child, = charon.child_sas()
    if min(int(child['packets-in']), int(child['packets-out'])) < packets:
        raise AssertionError(child)
    if min(int(child['bytes-in']), int(child['bytes-out'])) < packets * 64:
        raise AssertionError(child)


def carries(alice, bob, cipher, mode):
    """A CHILD_SA of that kind, from set-up to the end."""
    alice.initiate(f'{cipher}-{mode}')
    for site in SITES:
        shown = installed(site)
        equal(sorted(sa['dir'] for sa in shown), ['in', 'out'], shown)
        equal({(sa['cipher'], sa['mode']) for sa in shown}, {(cipher, mode)}, shown)
        child, = CHARONS[site].child_sas()
        equal(child['encr-alg'], CIPHERS[cipher], child)
    equal(ping() if mode == 'tunnel' else ping_outer(), 0, 'lost')
    for charon in (alice, bob):
        counted(charon, 3)
    alice.terminate()
    until(lambda: not bob.sas(), 'bob has no IKE_SA')
    nothing_left()


def test_kinds():
    """each cipher in each mode: packets and key are counted, no SA is left at the end"""
    with charons(conns, qkd=LINK) as (alice, bob):
        for cipher in CIPHERS:
            for mode in MODES:
                carries(alice, bob, cipher, mode)
                accounts_hold()
    return f'{len(CIPHERS) * len(MODES)} kinds'


def rekeyed(charon):
    return len(charon.said('rekeyed CHILD_SA'))


def test_rekeying():
    """CHILD_SAs are rekeyed by either end under traffic, which loses nothing"""
    count = scaled(8, 2)
    for cipher in CIPHERS:
        with charons(with_child(esp_proposals=f'qkd{cipher}'), qkd=LINK) as (alice, bob):
            alice.initiate()
            with Pinging():
                for number in range(count):
                    for charon in (alice, bob):
                        before = rekeyed(charon)
                        charon.swanctl('--rekey', '--child', 'net')
                        until(lambda: rekeyed(charon) > before, f'rekeying {number}')
                        time.sleep(0.3)
            alice.terminate()
            until(lambda: not bob.sas(), 'bob has no IKE_SA')
            nothing_left()
    return f'{len(CIPHERS) * count * 2} rekeyings'


def test_lifetimes():
    """the kernel's limits make charon rekey"""
    with charons(with_child(esp_proposals='qkdhybrid', rekey_packets=40, rand_packets=1,
                            life_packets=4000), qkd=LINK) as (alice, _):
        alice.initiate()
        with Pinging():
            until(lambda: rekeyed(alice) >= 3, 'three rekeyings')


def test_encapsulated():
    """ESP in UDP, and a perfect forward secrecy of its own"""
    def made(site):
        return {'site': connection(site, encap='yes', children={
            'net': {'esp_proposals': 'qkdhybrid-x25519-esn'}})}

    with charons(made, qkd=LINK) as (alice, _):
        alice.initiate()
        equal(ping(), 0, 'lost')
        if 'espinudp' not in ALICE.ip('xfrm', 'state'):
            raise AssertionError(ALICE.ip('xfrm', 'state'))
        alice.swanctl('--rekey', '--child', 'net')
        until(lambda: rekeyed(alice), 'rekeyed')
        equal(ping(), 0, 'lost')
    nothing_left()


def test_mobike():
    """alice moves to another address: the CHILD_SA is rekeyed"""
    def made(site):
        more = {} if site is BOB else {'local_addrs': '%any'}
        out = connection(site, children={'net': {'esp_proposals': 'qkdhybrid'}})
        out.update(more)
        if site is BOB:
            out['remote_addrs'] = '%any'
        return {'site': out}

    with charons(made, qkd=LINK) as (alice, _):
        alice.initiate()
        equal(ping(), 0, 'lost')
        # Else the other address goes with the first one of its network.
        ALICE.exec('sysctl', '-q', 'net.ipv4.conf.all.promote_secondaries=1')
        ALICE.ip('addr', 'add', '10.9.0.11/24', 'dev', ALICE.device)
        ALICE.ip('addr', 'del', f'{ALICE.address}/24', 'dev', ALICE.device)
        try:
            until(lambda: rekeyed(alice), 'rekeyed', 60)
            until(lambda: not ping(count=1), 'packets pass', 60)
            src = {sa['src'] for sa in installed(ALICE) if sa['dir'] == 'out'}
            equal(src, {'10.9.0.11'}, 'sources')
        finally:
            ALICE.ip('addr', 'flush', 'dev', ALICE.device)
            ALICE.ip('addr', 'add', f'{ALICE.address}/24', 'dev', ALICE.device)


def refused(alice, bob, text, who=None):
    """The CHILD_SA is: with one line that says why, and nothing is installed."""
    alice.fails()
    nothing_left()
    equal(len((who or bob).said(text)), 1, bob.log() + alice.log())
    if not alice.said('NO_PROPOSAL_CHOSEN'):
        raise AssertionError(alice.log())


HYBRID = with_child(esp_proposals='qkdhybrid')


def options(site, made=HYBRID, **more):
    """Settings of one end that the other end has not."""
    CHARONS[site].configure(made(site), qkd={**LINK, **more})
    CHARONS[site].stop()
    CHARONS[site].start()
    CHARONS[site].forget()


def test_mismatches():
    """ends that differ in on_empty, in the ciphers' numbers, or of which one has no link"""
    odd = {'connections': {'site': {'source': 'qkd0', 'on_empty': 'aes'}}}
    bad = {'connections': {'site': {'source': 'qkd0', 'on_empty': 'maybe'}}}
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        options(BOB, **odd)
        refused(alice, bob, 'no CHILD_SA: on_empty is not the same at both ends')
        options(BOB, **bad)
        refused(alice, bob, 'neither block nor aes')
        options(BOB, esp_cipher=1171)
        refused(alice, bob, 'no CHILD_SA: the peer has other numbers for the ciphers')
        options(BOB, connections={'site': {'source': 'qkd7'}})
        refused(alice, bob, 'QKD link qkd7, for CHILD_SAs: ')
        options(BOB, connections={})
        refused(alice, bob, 'has no link for its CHILD_SAs')


def test_generations():
    """ends in two generations, or of two links"""
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        BOB.client.do('link-set', name='qkd0', emu={'gen': macsec_lib.GEN + 1})
        refused(alice, bob, 'no CHILD_SA: the peer is in another generation')
        BOB.client.do('link-del', name='qkd0')
        BOB.link_up(b'another seed'.ljust(32))
        bob.forget()
        refused(alice, bob, 'no CHILD_SA: the peer is at another link')
        links_anew()
        alice.initiate()
        equal(ping(), 0, 'lost')


def test_changed():
    """the generation changes between request and answer: the initiator refuses it"""
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        try:
            with impair('delay', '3s', sites=(BOB,)):
                changed(alice)
            said = alice.said('no CHILD_SA: the peer is in another generation')
            equal(len(said), 1, alice.log())
            until(lambda: not installed(BOB), 'bob deletes them')
            nothing_left()
            kept(alice, bob)
        finally:
            links_anew()


def changed(alice):
    with subprocess.Popen(alice.swanctl_words('--initiate', '--child', 'net', '--timeout', 60),
                          stdout=subprocess.DEVNULL) as process:
        until(lambda: len(installed(BOB)) == 2, 'bob has the SAs')
        ALICE.client.do('link-set', name='qkd0', emu={'gen': macsec_lib.GEN + 1})
        if not process.wait(90):
            raise AssertionError('the CHILD_SA is set up')


def links_anew():
    for site in SITES:
        site.client.do('link-del', name='qkd0')
    macsec_lib.links_up(export=['control'])


def test_unsupported():
    """options that these SAs have not are refused by name"""
    for child, text in (({'ipcomp': 'yes'}, 'has no ipcomp'),
                        ({'tfc_padding': 1000}, 'has no tfc_padding'),
                        ({'copy_ecn': 'no'}, 'has no copy_ecn'),
                        ({'set_mark_out': 7}, 'has no set_mark_out'),
                        ({'esp_proposals': 'qkdotp-sha256'}, 'has no integrity algorithm')):
        with charons(with_child(**{'esp_proposals': 'qkdhybrid', **child}),
                     qkd=LINK) as (alice, bob):
            refused(alice, bob, text)
            kept(alice, bob)


MIXED = with_child(esp_proposals='qkdotp,aes256gcm16')
PLAIN = with_child(esp_proposals='aes256gcm16')
FALLBACK = {'connections': {'site': {'source': 'qkd0', 'esp_fallback': 'yes'}}}


def kept(alice, bob):
    """The IKE_SA stays where a CHILD_SA is refused."""
    equal((len(alice.established()), len(bob.established())), (1, 1), 'IKE_SAs')


def test_mixed():
    """qkdotp beside aes: refused by either end, unless the fallback is named"""
    text = 'there is no esp_fallback'
    with charons(MIXED, qkd=LINK) as (alice, bob):
        refused(alice, bob, text)
        kept(alice, bob)
        # bob may fall back: then it is alice who refuses, and deletes the CHILD_SA.
        options(BOB, MIXED, **FALLBACK)
        alice.terminate()
        alice.forget()
        alice.fails()
        equal(len(alice.said(text)), 1, alice.log())
        until(lambda: not bob.child_sas(), 'bob has no CHILD_SA')
        nothing_left()
        kept(alice, bob)
    with charons(MIXED, qkd=FALLBACK) as (alice, bob):
        alice.initiate()
        equal(alice.child_sas()[0]['encr-alg'], 'QKD_OTP', 'what charon prefers')
        alice.terminate()
        bob.load_with(PLAIN(BOB))
        bob.load()
        alice.initiate()
        equal(alice.child_sas()[0]['encr-alg'], 'AES_GCM_16', 'what bob has')
        equal(installed(ALICE), [], 'SAs of the link')
        equal(ping(), 0, 'lost')


def be_patient(site):
    """Packets wait as long as they may for a key that a busy machine makes late."""
    for sa in installed(site):
        if sa['cipher'] != 'otp':
            site.qkd('esp', 'set', 'spi', sa['spi'], 'dir', sa['dir'], 'dev', 'qkd0',
                     'park-time', '1s')


def test_bound():
    """an SA without IKE's key material refuses the packets: they are bound to the peer"""
    often = {'connections': {'site': {'source': 'qkd0', 'rekey_packets': 1}}}
    for cipher in ('otp', 'aes'):
        with charons(with_child(esp_proposals=f'qkd{cipher}'), qkd=often) as (alice, _):
            alice.initiate()
            for site in SITES:
                be_patient(site)
            equal(ping(), 0, 'lost')
            shown, = (sa for sa in installed(BOB) if sa['dir'] == 'in')
            BOB.qkd('esp', 'replace', 'spi', shown['spi'], 'dir', 'in', 'dev', 'qkd0', 'src',
                    ALICE.address, 'dst', BOB.address, 'cipher', cipher, 'mode', 'tunnel',
                    'reqid', str(shown['reqid']), 'replay-window', '32')
            be_patient(BOB)
            equal(ping(), 3, 'lost')
            shown, = (sa for sa in BOB.json('-s', 'esp', 'show') if sa['dir'] == 'in')
            equal(shown['refused']['icv'], 3, shown)


def one_left(alice, bob):
    return all(len(c.child_sas()) == 1 and len(installed(c.site)) == 2 for c in (alice, bob))


def test_collisions():
    """both ends rekey at once, and the IKE_SA is rekeyed: nothing is lost"""
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        alice.initiate()
        with Pinging():
            for _ in range(scaled(10, 2)):
                for charon in (alice, bob):
                    charon.swanctl('--rekey', '--child', 'net')
                until(lambda: one_left(alice, bob), 'one CHILD_SA is left')
            alice.swanctl('--rekey', '--ike', 'site')
            until(lambda: alice.said('rekeyed between'), 'the IKE_SA is rekeyed')
            before = rekeyed(alice)
            alice.swanctl('--rekey', '--child', 'net')
            until(lambda: rekeyed(alice) > before and one_left(alice, bob), 'rekeyed there')


def test_dead_peer():
    """a dead peer is noticed, and its SAs go"""
    def made(site):
        return {'site': connection(site, dpd_delay='2s', children={
            'net': {'esp_proposals': 'qkdaes'}})}

    with charons(made, qkd=LINK, charon={'retransmit_tries': 1,
                                         'retransmit_timeout': 1}) as (alice, bob):
        alice.initiate()
        equal(ping(), 0, 'lost')
        bob.stop(signal.SIGKILL)
        until(lambda: not installed(ALICE) and not ALICE.ip('xfrm', 'state'),
              'alice has no SA', 60)
        # What a killed charon leaves is the kernel's.
        for what in ('state', 'policy'):
            BOB.ip('xfrm', what, 'flush')


def test_without_plugin():
    """a peer without the plugin: no CHILD_SA, whoever begins"""
    made = {ALICE: HYBRID, BOB: PLAIN}
    with charons(lambda site: made[site](site), plugins=(True, False),
                 qkd=LINK) as (alice, bob):
        for charon in (alice, bob):
            charon.fails()
            equal(len(charon.said('received NO_PROPOSAL_CHOSEN')), 1, charon.log())
            nothing_left()
            charon.terminate()
            for other in (alice, bob):
                other.forget()


def test_reloaded():
    """after reload-settings charon still takes transforms for private use"""
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        for charon in (alice, bob):
            charon.swanctl('--reload-settings')
        alice.initiate()
        equal(ping(), 0, 'lost')


def test_settings():
    """when keys are due is set for each connection; nonsense is refused"""
    def link(**more):
        return {'connections': {'site': {'source': 'qkd0', **more}}}

    with charons(HYBRID, qkd=link(rekey_packets=10, rekey_bytes=5000,
                                  rekey_time=700)) as (alice, _):
        alice.initiate()
        out, = (sa for sa in installed(ALICE) if sa['dir'] == 'out')
        equal((out['rekey_packets'], out['rekey_bytes'], out['rekey_time']), (10, 5000, 700),
              out)
        equal(ping(count=30), 0, 'lost')
    with charons(HYBRID, qkd=link(rekey_packets='many')) as (alice, bob):
        refused(alice, bob, 'is no number in its range')
        kept(alice, bob)


def test_link_gone():
    """the link goes under traffic: nothing passes, and no CHILD_SA is set up"""
    with charons(HYBRID, qkd=LINK) as (alice, bob):
        alice.initiate()
        equal(ping(), 0, 'lost')
        for site in SITES:
            site.client.do('link-del', name='qkd0')
        equal(ping(count=2), 2, 'lost')
        alice.terminate()
        until(lambda: not bob.sas(), 'bob has no IKE_SA')
        alice.forget()
        refused(alice, bob, 'QKD link qkd0, for CHILD_SAs: ')
    macsec_lib.links_up()


if __name__ == '__main__':
    try:
        wire_up()
        run([test_kinds, test_rekeying, test_lifetimes, test_encapsulated, test_mobike,
             test_mismatches, test_generations, test_changed, test_unsupported, test_mixed, test_bound,
             test_collisions, test_dead_peer, test_without_plugin, test_reloaded,
             test_settings, test_link_gone])
    finally:
        take_down()
