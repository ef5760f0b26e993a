# SPDX-License-Identifier: GPL-2.0-only
"""The selftest macsec_faults; run by macsec_faults.sh."""
import contextlib
import os
import signal
import subprocess
import time

from macsec_lib import (ALICE, BOB, SITES, Stream, inside, run as command, set_up, tear_down,
                        until)
from macsec_daemon import (DAEMONS, FEEDS, agreed, both_send, current, daemons,
                           flowing, goes_on,
                           link_of_users, shown, wire_up)
from qkdd_peer import ANSWER, DRAINED, INSTALLED, PKI, REFUSED, SAK, SWITCH, Peer
from ktap import equal, run, scaled

SUITE = 'gcm-aes-256'
FAST = {'rekey_time': '200ms'}
KILLS = 80      # system calls, of which some dozen make a rotation


def another(site, than, seconds=60):
    """Waits until the ends agree on another SAK than that."""
    return until(lambda: (agreed(site) or than) != than and agreed(site), 'another SAK',
                 seconds)


def kill_at(site, call):
    """Has the daemon killed at its Nth system call that sends something."""
    with subprocess.Popen(
            ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=sendmsg,write',
             '-e', f'inject=sendmsg,write:signal=KILL:when={call}',
             '-p', str(DAEMONS[site].process.pid)],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tracer:
        equal(DAEMONS[site].process.wait(60), -signal.SIGKILL, 'how it ended')
        tracer.wait(10)
    DAEMONS[site].process = None


def test_killed():
    """a daemon is killed -9 at each step, of either end: nothing is lost, and it goes on"""
    count = scaled(KILLS, 6)
    with daemons(SUITE, **FAST), flowing() as both:
        for n in range(count):
            site = SITES[n % 2]
            kill_at(site, 1 + n * KILLS // count)
            time.sleep(0.3)
            DAEMONS[site].start()
            goes_on()
    return f'{count} times, {sum(s.sent for s in both)} frames'


def test_both_killed():
    """both daemons are killed at once, and stay away for a while"""
    with daemons(SUITE, **FAST), flowing():
        for site in SITES:
            DAEMONS[site].stop(signal.SIGKILL)
        was = {site: current(site) for site in SITES}
        time.sleep(3)
        equal({site: current(site) for site in SITES}, was, 'SAKs while nobody rotates')
        for site in SITES:
            DAEMONS[site].start()
        goes_on()


def netem(*words):
    for site, device in zip(SITES, ('ca', 'cb')):
        site.exec('tc', 'qdisc', 'replace', 'dev', device, 'root', *words)


def bad_channel(*words):
    def test():
        with daemons(SUITE, timeout='15s', **FAST):
            netem('netem', *words)
            try:
                with flowing():
                    for _ in range(scaled(20, 2)):
                        goes_on(120)
            finally:
                netem('pfifo')
            goes_on()
    test.__doc__ = f"the daemons' packets: {' '.join(words)}; no frame is lost"
    return test


def test_channel_cut():
    """the channel is cut while SAKs rotate, for less and for more than its timeout"""
    with daemons(SUITE, **FAST), flowing():
        for seconds in (0.1, 1, 5):
            for _ in range(scaled(10)):
                ALICE.ip('link', 'set', 'ca', 'down')
                time.sleep(seconds)
                ALICE.ip('link', 'set', 'ca', 'up')
                goes_on()


def test_cable_cut():
    """the cable is cut, and the channel with it: traffic and rotation come back by themselves"""
    seconds = scaled(60, 5)
    with daemons(SUITE, **FAST):
        generation = ALICE.json('link', 'show', 'qkd0')[0]['generation']
        for device in ('va', 'ca'):
            ALICE.ip('link', 'set', device, 'down')
        time.sleep(seconds)
        for device in ('va', 'ca'):
            ALICE.ip('link', 'set', device, 'up')
        until(lambda: all('LOWER_UP' in s.ip('-o', 'link', 'show', 'macsec0')
                          for s in SITES), 'carrier')
        goes_on()
        with flowing():
            goes_on()
        equal(ALICE.json('link', 'show', 'qkd0')[0]['generation'], generation, 'generation')
    return f'{seconds} s'


def arrives(site, seconds=1):
    """How many frames get through."""
    with Stream(site, interval=0.02) as stream:
        time.sleep(seconds)
    return len(stream.numbers)


def test_no_key():
    """key runs out: the last SAK stays for its time, the device blocks, and comes back"""
    link_of_users(blocks=1, size=2048)
    try:
        return run_dry()
    finally:
        link_of_users()


def run_dry():
    def dry():
        return [DAEMONS[site].said('no next SAK: not enough key') for site in SITES]

    listener = ALICE.listen()
    with daemons(SUITE, rekey_time='100ms', max_time='15s'):
        with flowing():
            until(lambda: all(dry()), 'no key', 120)
        if not both_send() or not arrives(ALICE):
            raise AssertionError('blocked at once')
        until(lambda: not any(current(site) for site in SITES), 'the SAs go', 60)
        equal([arrives(site) for site in SITES], [0, 0], 'frames under no SAK')
        why = {e.get('message') for e in listener.events() if e['type'] == 'macsec-sa-del'}
        equal('its time is over' in why, True, why)
        equal(dry(), [1, 1], 'complaints')
        for feed in FEEDS:
            feed.start(size=2048)
        until(both_send, 'SAs in both directions', 60)
        with flowing():
            goes_on()
    listener.close()


def test_device_anew():
    """a macsec device is deleted and made again at one end"""
    with daemons(SUITE, **FAST):
        for site in SITES:
            site.ip('link', 'del', 'macsec0')
            time.sleep(1)
            site.device_up(SUITE, channel=False)
            until(both_send, 'SAs in both directions', 60)
            with flowing():
                goes_on()


def test_address():
    """an end gets another address, so that its SCI is another one"""
    mac = BOB.mac
    with daemons(SUITE, **FAST):
        BOB.ip('link', 'del', 'macsec0')
        BOB.become('02:00:00:00:07:02')
        BOB.device_up(SUITE, channel=False)
        until(both_send, 'SAs in both directions', 60)
        channels = ALICE.ip('macsec', 'show', 'macsec0').count('RXSC:')
        equal(channels, 1, 'receive channels')
    BOB.become(mac)


def test_encodingsa():
    """somebody sends the device to an AN that has no SA: it comes back"""
    with daemons(SUITE, **FAST):
        _, an = current(ALICE)
        ALICE.encode((an + 2) % 4)
        goes_on()
        with flowing():
            goes_on()


def test_removed():
    """somebody removes SAs, the module's way or macsec's own"""
    with daemons(SUITE, rekey_time='1h', max_time='2h'):
        was = {site: agreed(site) for site in SITES}
        ALICE.qkd('macsec', 'del', 'macsec0', 'rx', 'sci', f'{BOB.sci:016x}', 'an',
                  was[BOB][1])
        another(BOB, was[BOB])
        BOB.ip('macsec', 'set', 'macsec0', 'rx', 'sci', f'{ALICE.sci:016x}', 'sa',
               was[ALICE][1], 'off')
        BOB.ip('macsec', 'del', 'macsec0', 'rx', 'sci', f'{ALICE.sci:016x}', 'sa',
               was[ALICE][1])
        was[ALICE] = another(ALICE, was[ALICE])
        ALICE.ip('macsec', 'set', 'macsec0', 'tx', 'sa', was[ALICE][1], 'off')
        another(ALICE, was[ALICE])
        with flowing():
            time.sleep(1)


def certificates():
    """A CA, and alice's and bob's, as qkdd_peer has them."""
    os.makedirs(PKI, exist_ok=True)
    key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
    command('openssl', 'req', '-x509', *key, '-days', '2', '-subj', '/CN=ca', '-addext',
            'keyUsage=critical,keyCertSign', '-keyout', PKI + 'ca.key', '-out', PKI + 'ca.pem')
    for site in SITES:
        command('openssl', 'req', '-x509', *key, '-days', '2', '-CA', PKI + 'ca.pem', '-CAkey',
                PKI + 'ca.key', '-subj', f'/CN={site.name}.example', '-addext',
                f'subjectAltName=DNS:{site.name}.example', '-addext',
                'basicConstraints=critical,CA:FALSE', '-keyout', f'{PKI}{site.name}.key',
                '-out', f'{PKI}{site.name}.pem')


def lie(peer):
    """What a peer says of SAs that are not as it says; what alice does."""
    peer.hello()
    peer.show()
    peer.secy(BOB.sci, 2)
    sci, an, ident, _ = until(peer.saks, 'alice offers a SAK')[0]
    equal(sci, ALICE.sci, 'SCI')
    wrong = bytes(16)
    for where, what in ((an, wrong), ((an + 1) % 4, ident), ((an + 1) % 4, wrong)):
        peer.sa(ANSWER, sci, where, what, bytes([INSTALLED]))
        peer.sa(ANSWER, sci, where, what, bytes([REFUSED]))
        peer.sa(DRAINED, sci, where, what)
        peer.sa(SWITCH, BOB.sci, where, what)
    peer.sa(DRAINED, sci, an, ident)
    peer.sa(ANSWER, sci + 1, an, ident, bytes([INSTALLED]))
    time.sleep(1)
    equal((current(ALICE), len(shown(ALICE)['sas'])), (None, 1), 'what alice sends under')

    for _ in range(3):
        peer.sa(ANSWER, sci, an, ident, bytes([INSTALLED]))
    until(lambda: (current(ALICE) or ('', None))[1] == an, 'alice switches')
    equal(len(until(lambda: peer.saks(SWITCH), 'alice says so')), 1, 'SWITCH')
    peer.sa(DRAINED, sci, an, ident)
    time.sleep(1)
    equal(current(ALICE)[1], an, 'AN')

    before = ALICE.taken('b2a-key')
    peer.sa(SAK, BOB.sci, 2, wrong)
    equal(until(lambda: peer.saks(ANSWER), 'an answer'),
          [(BOB.sci, 2, wrong, bytes([REFUSED]))], 'to a key ID that is none')
    equal(ALICE.taken('b2a-key'), before, 'key taken')
    peer.sa(ANSWER, sci, an, ident, bytes([REFUSED]))
    equal(len(until(peer.saks, 'another SAK')), 1, 'SAKs')
    peer.sa(SAK, BOB.sci + 1, 2, wrong)
    with contextlib.suppress(ConnectionError):
        until(lambda: peer.messages() and False, 'alice closes')
    until(lambda: DAEMONS[ALICE].said('names another SCI'), 'alice says why')


def test_liar():
    """a peer that lies about SAs: alice does what is right, and takes no key for it"""
    certificates()
    alice = DAEMONS[ALICE]
    try:
        ALICE.device_up(SUITE, channel=False)
        alice.configure_for(f'{PKI}alice', 'alice.example', 'bob.example', rekey_time='1h',
                            max_time='2h')
        alice.start()
        until(lambda: alice.said('listening'), 'alice listens')
        with inside('bob'):
            peer = Peer(ALICE.json('link', 'show', 'qkd0')[0], '10.8.0.1')
        lie(peer)
    finally:
        alice.stop()
        os.remove(alice.log)
        ALICE.device_down()


def test_reboot():
    """a machine starts anew, with empty hands: the other one follows, without an operator"""
    with daemons(SUITE, **FAST):
        DAEMONS[BOB].stop(signal.SIGKILL)
        FEEDS[1].stop()
        BOB.ip('link', 'del', 'macsec0')
        until(lambda: not BOB.client.dump('macsec-dump'), 'it is unbound')
        BOB.client.do('link-del', name='qkd0')
        time.sleep(4)
        if not current(ALICE):
            raise AssertionError('alice does not send')
        BOB.user_link()
        BOB.device_up(SUITE, channel=False)
        FEEDS[1].start()
        DAEMONS[BOB].start()
        until(both_send, 'SAs in both directions', 60)
        with flowing():
            goes_on()


def test_suites():
    """cipher suites that differ: one line at each end, no SA, no key spent"""
    for site, suite in zip(SITES, ('gcm-aes-128', 'gcm-aes-xpn-128')):
        site.device_up(suite, channel=False)
        DAEMONS[site].configure(**FAST)
        DAEMONS[site].start()
    until(lambda: all(DAEMONS[site].said('gcm-aes-xpn-128') for site in SITES), 'a complaint')
    time.sleep(2)
    equal([DAEMONS[site].said('cipher gcm') for site in SITES], [1, 1], 'complaints')
    equal([shown(site)['sas'] for site in SITES], [[], []], 'SAs')
    for site in SITES:
        DAEMONS[site].stop()
        os.remove(DAEMONS[site].log)
        site.device_down()


if __name__ == '__main__':
    try:
        set_up(link=False)
        wire_up()
        link_of_users()
        run([test_killed, test_both_killed, bad_channel('delay', '2s'),
             bad_channel('delay', '50ms', '50ms', 'loss', '20%', 'duplicate', '20%'),
             test_channel_cut, test_cable_cut, test_no_key, test_device_anew, test_address,
             test_encodingsa, test_removed, test_liar, test_reboot, test_suites])
    finally:
        for one in FEEDS:
            one.stop()
        tear_down()
