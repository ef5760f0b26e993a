# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_mlkem; run by ike_mlkem.sh."""
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import threading

from ike_lib import (ALICE, BOB, CHARONS, PROPOSAL, Pinging, SITES, charons, connection, impair,
                     ping, take_down, until, wire_up)
from netns import PATIENCE, inside
from ktap import equal, run, scaled

SIZES = {512: (35, 800, 768), 768: (36, 1184, 1088), 1024: (37, 1568, 1568)}
SECRETS = (r'\] (SKEYSEED|S[Kk]_|secret +=>|prf\(secret, keypad\) +=>|PPK +=>|derive keys using PPK|'
           r'.*key exchange secret|.*(initiator|responder) key )')


def proposing(site, proposals=PROPOSAL, esp='aes256gcm16'):
    return {'site': connection(site, {'net': {'esp_proposals': esp}}, proposals=proposals)}


def anew(**more):
    """Both charons, with other settings."""
    for site, charon in CHARONS.items():
        charon.stop()
        charon.configure(proposing(site), stock=True, **more)
        charon.start()
        charon.forget()


def load(charon, **more):
    """These proposals, and no others."""
    charon.load_with(proposing(charon.site, **more))
    charon.load()


@contextlib.contextmanager
def tunnel(**more):
    """A connection that alice sets up, until it is left."""
    alice, bob = CHARONS.values()
    for charon in (alice, bob):
        load(charon, **more)
        charon.forget()
    alice.initiate()
    try:
        yield alice, bob
    finally:
        alice.terminate()
        until(lambda: not bob.sas(), 'bob has no IKE_SA', 60)


def methods(of):
    return [of.get('dh-group')] + [of[key] for key in sorted(of) if re.fullmatch(r'ake\d', key)]


def agreed(wanted, child=None):
    """These key exchanges at both ends, and traffic passes."""
    for charon in CHARONS.values():
        sa, = charon.established()
        equal(methods(sa), wanted, f'{charon.site.name}: IKE_SA')
        if child:
            equal(methods(sa['children'][0]), child, f'{charon.site.name}: CHILD_SA')
    equal(ping(count=2), 0, 'pings lost')


def test_additional():
    """x25519-ke1_mlkem512, 768, 1024"""
    for size in SIZES:
        with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem{size}'):
            agreed(['CURVE_25519', f'ML_KEM_{size}'])


def test_many():
    """all three in one IKE_SA"""
    with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem512-ke3_mlkem768-ke7_mlkem1024'):
        agreed(['CURVE_25519', 'ML_KEM_512', 'ML_KEM_768', 'ML_KEM_1024'])


def test_fragments():
    """ML-KEM-1024 in IKE_INTERMEDIATE is fragmented by IKE, not by IP"""
    with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem1024') as ends:
        for charon in ends:
            if not re.search(r'parsed IKE_INTERMEDIATE re\w+ 1 \[ EF', charon.log()):
                raise AssertionError(f'{charon.site.name}: IKE_INTERMEDIATE came in one piece')


def test_first():
    """mlkem512, 768, 1024 alone, in IKE_SA_INIT"""
    for size in SIZES:
        with tunnel(proposals=f'aes256-sha256-mlkem{size}'):
            agreed([f'ML_KEM_{size}'])


def test_choice():
    """without a size in common there is no IKE_SA; with one it is found"""
    alice, bob = CHARONS.values()
    load(alice, proposals=f'{PROPOSAL}-ke1_mlkem768')
    load(bob, proposals=f'{PROPOSAL}-ke1_mlkem1024')
    refused_by(alice, 'NO_PROPOSAL_CHOSEN')
    load(bob, proposals=f'{PROPOSAL}-ke1_mlkem1024, {PROPOSAL}-ke1_mlkem768')
    alice.initiate()
    agreed(['CURVE_25519', 'ML_KEM_768'])
    alice.terminate()


def refused_by(charon, text):
    charon.forget()
    charon.fails()
    if not charon.said(text):
        raise AssertionError(f'no {text}: {charon.log()}')


def test_rekey():
    """CHILD_SAs and IKE_SAs rekey with x25519-ke1_mlkem768 in IKE_FOLLOWUP_KE, 0 lost"""
    both = ['CURVE_25519', 'ML_KEM_768']
    count = scaled(20, 3)
    with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem768', esp='aes256gcm16-x25519-ke1_mlkem768') as ends:
        with Pinging() as pings:
            for charon in (ends * count)[:count]:
                rekeyed(charon, 'child', 'net')
                agreed(both, both)
                rekeyed(charon, 'ike', 'site')
                agreed(both, both)
    return f'{count} times each, {pings.sent} pings'


def rekeyed(charon, what, name):
    """Until the new SA is there at both ends and the old one has gone."""
    def names():
        return [[(sa['uniqueid'], [child['uniqueid'] for child in sa['children']
                                   if what == 'child'])
                 for sa in each.sas()] for each in CHARONS.values()]
    before = names()
    charon.swanctl('--rekey', f'--{what}', name)

    def done():
        now = names()
        return all(new != old and len(new) == 1 for new, old in zip(now, before)) and \
            all(len(each.sas()[0]['children']) == 1 for each in CHARONS.values())
    until(done, f'{charon.site.name} rekeys its {what}', 120)


def test_rekey_alone():
    """a CHILD_SA rekeys with mlkem512, 768, 1024 as its one key exchange"""
    for size in SIZES:
        with tunnel(esp=f'aes256gcm16-mlkem{size}') as (alice, _):
            rekeyed(alice, 'child', 'net')
            agreed(['CURVE_25519'], [f'ML_KEM_{size}'])


# Fifteen tries in two minutes.
EAGER = {'retransmit_timeout': 1, 'retransmit_base': 1.2, 'retransmit_tries': 15}


def test_loss():
    """with 15 % of packets lost and 20 ms of delay it is set up and rekeyed"""
    count = scaled(10, 2)
    alice, bob = CHARONS.values()
    anew(charon=EAGER)
    for charon in (alice, bob):
        load(charon, proposals=f'{PROPOSAL}-ke1_mlkem768', esp='aes256gcm16-ke1_mlkem768')
    for _ in range(count):
        with impair('delay', '20ms', 'loss', '15%'):
            alice.initiate(seconds=120 * PATIENCE)
            rekeyed(alice, 'child', 'net')
        alice.terminate()
        until(lambda: not bob.sas(), 'bob has no IKE_SA', 60)
    return f'{count} times'


# What a peer could send. The other algorithms are those of aes256-sha256.

def payload(following, body):
    return struct.pack('>BBH', following, 0, 4 + len(body)) + body


def transform(kind, number, last=False, attribute=b''):
    return struct.pack('>BBHBBH', 0 if last else 3, 0, 8 + len(attribute), kind, 0,
                       number) + attribute


def sa_init(method, value, spis, flags):
    """An IKE_SA_INIT request or response with this as its key exchange."""
    proposal = (transform(1, 12, attribute=struct.pack('>HH', 0x800e, 256)) + transform(2, 5) +
                transform(3, 12) + transform(4, method, last=True))
    proposal = struct.pack('>BBHBBBB', 0, 0, 8 + len(proposal), 1, 1, 0, 4) + proposal
    body = (payload(34, proposal) + payload(40, struct.pack('>HH', method, 0) + value) +
            payload(0, os.urandom(32)))
    return spis + struct.pack('>BBBBII', 33, 0x20, 34, flags, 0, 28 + len(body)) + body


def answer_to(method, value):
    """What bob says to an IKE_SA_INIT with this value."""
    with inside('alice'):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(20)
        sock.sendto(sa_init(method, value, os.urandom(8) + bytes(8), 0x08), (BOB.address, 500))
        return sock.recv(1 << 16)


def wrong_values(size):
    """Of another length, or right in length with coefficients that are not below q."""
    right = SIZES[size][1]
    return [bytes(n) for n in (0, 1, right - 1, right + 1, 1216, 4096)] + [b'\xff' * right]


def test_wrong_key():
    """a responder refuses encapsulation keys of wrong length and out of range"""
    count, bob = 0, CHARONS[BOB]
    anew(charon={'dos_protection': 'no'})       # or he asks for a cookie first
    for size, (method, length, text) in SIZES.items():
        load(bob, proposals=f'aes256-sha256-mlkem{size}')
        for value in wrong_values(size):
            bob.forget()
            reply = answer_to(method, value)
            equal(reply[16], 41, 'payload (41: a notify)')
            equal(len(bob.said(f'ML-KEM-{size}: public value of {len(value)} bytes is refused')),
                  1, bob.log())
            count += 1
        # All coefficients zero is a key; its ciphertext is what comes back.
        reply = answer_to(method, bytes(length))
        if struct.pack('>HHH', 8 + text, method, 0) not in reply:
            raise AssertionError(f'mlkem{size}: no ciphertext in the answer')
    equal([sa['state'] for sa in bob.sas()], ['CONNECTING'] * 3, 'what is left of it')
    return f'{count} values'


def test_wrong_text():
    """an initiator refuses ciphertexts of wrong length"""
    alice, bob = CHARONS.values()
    bob.stop()
    with inside('bob'):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    count = 0
    with sock:
        sock.bind((BOB.address, 500))
        for size, (method, _, text) in SIZES.items():
            load(alice, proposals=f'aes256-sha256-mlkem{size}')
            for length in (0, 1, text - 1, text + 1, 4096):
                thread = threading.Thread(target=reply_once, args=(sock, method, length))
                thread.start()
                refused_by(alice, f'ML-KEM-{size}: public value of {length} bytes is refused')
                thread.join()
                count += 1
    bob.start()
    return f'{count} texts'


def reply_once(sock, method, length):
    request, sender = sock.recvfrom(1 << 16)
    sock.sendto(sa_init(method, bytes(length), request[:8] + os.urandom(8), 0x20), sender)


# Logs and dumps.

def esp_keys(site):
    shown = site.ip('xfrm', 'state')
    return [bytes.fromhex(key) for key in re.findall(r'rfc4106\(gcm\(aes\)\) 0x(\w+)', shown)]


def secrets_in(charon):
    """Lines that name a secret, and ESP keys among the bytes that the log shows in hex."""
    log = charon.log()
    rows = re.findall(r'^\S+ +\S+ +\d+: ((?:[0-9A-F]{2} )+)', log, re.M)
    shown = bytes.fromhex(''.join(rows))
    if len(shown) < 4000:
        raise AssertionError(f'{charon.site.name}: hardly anything in the log: {len(shown)} bytes')
    return (sum(bool(re.search(SECRETS, line)) for line in log.splitlines()),
            sum(key in shown for key in esp_keys(charon.site)))


def told():
    """How often each charon has said that it leaves these messages out."""
    out = []
    for charon in CHARONS.values():
        with open(f'{charon.dir}/log', encoding='utf8', errors='replace') as file:
            out.append(file.read().count('no log messages of level 4'))
    return out


def test_logs():
    """at level 4 no secret is in the logs; without the plugin they are"""
    before = told()
    anew(level=4)
    equal(told(), [count + 1 for count in before], 'told so')
    with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem768', esp='aes256gcm16-ke1_mlkem768') as ends:
        rekeyed(ends[0], 'child', 'net')
        for charon in ends:
            equal(len(esp_keys(charon.site)), 2, 'keys')
            equal(secrets_in(charon), (0, 0), f'{charon.site.name}: lines, ESP keys')
    anew(level=4, plugin=False)
    with tunnel() as ends:
        for charon in ends:
            lines, keys = secrets_in(charon)
            if lines < 10 or keys != 2:
                raise AssertionError(f'control: {lines} lines, {keys} ESP keys')
    load(ends[0], proposals=f'{PROPOSAL}-ke1_mlkem768')
    ends[0].fails()             # this charon has no ML-KEM of its own
    anew()


@contextlib.contextmanager
def core_pattern(text):
    with open('/proc/sys/kernel/core_pattern', 'r+', encoding='ascii') as file:
        before = file.read()
        file.seek(0)
        file.write(text)
    try:
        yield
    finally:
        with open('/proc/sys/kernel/core_pattern', 'w', encoding='ascii') as file:
            file.write(before)


def cores(charon):
    """How often charon leaves a core at its death by a signal."""
    pid = charon.pid
    charon.stop(signal.SIGABRT)
    return sum(os.path.exists(f'/tmp/core.{pid}{end}') for end in ('', '.pipe'))


def test_core():
    """charon leaves no core, to a file or to a pipe, and nobody reads its memory"""
    with open('/tmp/core.sh', 'w', encoding='ascii') as file:
        file.write('#!/bin/sh\ncat >/tmp/core.$1.pipe\n')
    os.chmod('/tmp/core.sh', 0o755)
    bob = CHARONS[BOB]
    for pattern in ('/tmp/core.%p', '|/tmp/core.sh %p'):
        with core_pattern(pattern):
            equal((cores(bob), cores_of_plain(bob)), (0, 1), pattern)
            bob.configure(proposing(BOB), stock=True)
            bob.start()
            shown = subprocess.run(
                ['setpriv', '--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace', 'cat',
                 f'/proc/{bob.pid}/environ'], capture_output=True, check=False)
            equal(bool(shown.returncode), True, 'its memory is closed')


def cores_of_plain(charon):
    """Of a charon without the plugin, which may."""
    charon.configure(proposing(charon.site), stock=True, plugin=False)
    charon.start('prlimit --core=unlimited')
    return cores(charon)


def test_end():
    """charon ends as it should, and what it is given back is whole"""
    for charon in CHARONS.values():
        with tunnel(proposals=f'{PROPOSAL}-ke1_mlkem768'):
            pass
        equal(charon.stop(), 0, f'{charon.site.name}: exit status')
        charon.start()


if __name__ == '__main__':
    try:
        wire_up()
        with charons(proposing, stock=True):
            run([test_additional, test_many, test_fragments, test_first, test_choice, test_rekey,
                 test_rekey_alone, test_loss, test_wrong_key, test_wrong_text, test_logs,
                 test_core, test_end])
    finally:
        take_down()
