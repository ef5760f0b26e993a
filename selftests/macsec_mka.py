# SPDX-License-Identifier: GPL-2.0-only
"""The selftest macsec_mka; run by macsec_mka.sh.

  bond0 = macsec1, macsec2 on va --- wire --- vb: macsec1, macsec2 = bond0
  a wpa_supplicant for each macsec device
"""
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import time

from macsec_lib import ALICE, BOB, SITES, Capture, Stream, inside, links_up, set_up, tear_down, until
from macsec_daemon import DAEMONS, MANAGEMENT, PSK, flowing, wire_up
import keys
from ktap import equal, run, scaled

DIR = '/run/qkd/mka'
PORTS = (1, 2)


def control(site, port):
    return f'{DIR}/{site.name}{port}/{site.device}'


class Supplicant:
    """wpa_supplicant for one macsec device of a site."""

    def __init__(self, site, port):
        self.site, self.port, self.process = site, port, None
        self.log = f'{DIR}/{site.name}{port}.log'

    def start(self):
        path = f'{DIR}/{self.site.name}{self.port}'
        with open(f'{path}.conf', 'w', encoding='ascii') as file:
            file.write(f'ctrl_interface=DIR={path}\nap_scan=0\neapol_version=3\n')
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                ['ip', 'netns', 'exec', self.site.name, 'wpa_supplicant', '-D', 'macsec_linux',
                 '-i', self.site.device, '-c', f'{path}.conf'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            with contextlib.suppress(FileNotFoundError):
                os.remove(control(self.site, self.port))

    def ask(self, command):
        with inside(self.site.name):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with sock:
            sock.bind('')
            sock.settimeout(10)
            sock.connect(control(self.site, self.port))
            sock.send(command.encode())
            return sock.recv(4096).decode()

    def key_id(self):
        """Key ID of its CAK, or None."""
        try:
            found = re.fullmatch(r'"([0-9a-f-]{36}) \d+"', self.ask('GET_NETWORK 0 id_str'))
        except OSError:
            return None
        return found and found[1]


SUPPLICANTS = {site: [Supplicant(site, port) for port in PORTS] for site in SITES}


def bond_up(site):
    ip = site.ip
    ip('link', 'add', 'bond0', 'mtu', 1468, 'type', 'bond', 'mode', 'active-backup', 'miimon', 50,
       'all_slaves_active', 1)
    for port in PORTS:
        ip('link', 'add', 'link', site.device, f'macsec{port}', 'type', 'macsec', 'port', port,
           'encrypt', 'on', 'replay', 'on', 'window', 32)
        ip('link', 'set', f'macsec{port}', 'master', 'bond0')
    ip('addr', 'add', f'{site.address}/24', 'dev', 'bond0')
    ip('link', 'set', 'bond0', 'up')
    ip('neigh', 'replace', site.peer.address, 'lladdr', site.peer.mac, 'dev', 'bond0', 'nud',
       'permanent')


def configure(site, rekey='10s', longest='1h'):
    device, address = MANAGEMENT[site.name]
    peer = site.peer.name
    lines = ['[local]', f'name = {site.name}', f'listen = {address}:7676', f'[peer {peer}]',
             f'psk = {PSK}', 'timeout = 3s']
    if site is ALICE:
        lines.append(f'connect = {MANAGEMENT[peer][1]}:7676')
    lines += ['[link qkd0]', f'peer = {peer}', '[mka bond0]', 'link = qkd0',
              f'rekey-time = {rekey}', f'max-time = {longest}']
    lines += [f'port = macsec{port} {control(site, port)}' for port in PORTS]
    with open(DAEMONS[site].config, 'w', encoding='ascii') as file:
        file.write('\n'.join(lines) + '\n')


def active(site):
    """Key ID that a site sends under, or None."""
    text = site.exec('cat', '/sys/class/net/bond0/bonding/active_slave', check=False).strip()
    return SUPPLICANTS[site][int(text[-1]) - 1].key_id() if text else None


def agreed():
    found = {active(site) for site in SITES}
    return found.pop() if len(found) == 1 else None


def alone():
    """The same, if no other CAK is left."""
    ident = agreed()
    return ident if ident and all({s.key_id() for s in SUPPLICANTS[site]} == {ident, None}
                                  for site in SITES) else None


def rolled(count, seconds=None):
    """Key IDs that both ends have sent under, one after the other."""
    seen = [agreed()]
    end = time.monotonic() + (seconds or 60 + 40 * count)
    while len(seen) <= count:
        if time.monotonic() > end:
            raise AssertionError(f'{len(seen) - 1} of {count} rollovers')
        found = agreed()
        if found and found not in seen:
            seen.append(found)
        time.sleep(0.2)
    return seen


def complain():
    for site in SITES:
        for line in DAEMONS[site].lines()[-12:]:
            print(f'# {site.name}: {line}')
        for supplicant in SUPPLICANTS[site]:
            with contextlib.suppress(OSError):
                print('# ' + supplicant.ask('STATUS').rstrip().replace('\n', '\n# '))
            with contextlib.suppress(OSError), open(supplicant.log, encoding='utf8') as file:
                print('# ' + '# '.join(file.readlines()[-12:]))
        for words in (('ip', 'macsec', 'show'), ('ip', '-d', 'link', 'show'),
                      ('qkd', '-s', 'link', 'show')):
            print('# ' + site.exec(*words, check=False).rstrip().replace('\n', '\n# '))


@contextlib.contextmanager
def secured(**more):
    """Bonds, supplicants and daemons, until both send under one CAK."""
    os.makedirs(DIR, exist_ok=True)
    try:
        for site in SITES:
            bond_up(site)
            for supplicant in SUPPLICANTS[site]:
                supplicant.start()
            configure(site, **more)
            DAEMONS[site].start()
        until(agreed, 'a CAK at both ends', 90)
        yield
    except Exception:
        complain()
        raise
    finally:
        for site in SITES:
            DAEMONS[site].stop()
            for supplicant in SUPPLICANTS[site]:
                supplicant.stop()
            for device in ('bond0', 'macsec1', 'macsec2'):
                site.ip('link', 'del', device, check=False)
            with contextlib.suppress(FileNotFoundError):
                os.remove(DAEMONS[site].log)


def test_rollover():
    """CAKs roll over under traffic both ways, no frame lost or late"""
    count = scaled(30, 3)
    with secured():
        with flowing(device='bond0') as both:
            seen = rolled(count)
    equal(len(set(seen)), count + 1, 'key IDs')
    return f'{count} rollovers, {sum(s.sent for s in both)} frames'


def ckn(ident):
    text = b'qkd mka v1' + bytes.fromhex(ident.replace('-', ''))
    return hashlib.sha256(text).hexdigest()


def names(site):
    """CKNs that MKA runs under at a site."""
    status = ''.join(s.ask('STATUS') for s in SUPPLICANTS[site])
    return re.findall('^ckn=(.*)$', status, re.M)


def test_name():
    """a CAK's name in MKA is that of its key ID; frames on the wire are encrypted"""
    with secured(rekey='1h', longest='2h'):
        ident = until(alone, 'one CAK and no other')
        equal(keys.unpack(bytes.fromhex(ident.replace('-', '')))['class'], 1, 'class control')
        for site in SITES:
            until(lambda s=site: names(s) == [ckn(ident)], f'{site.name}: its CKN alone', 5)
        with Capture('bob', 'vb') as capture, flowing(device='bond0'):
            time.sleep(1)
        kinds = {frame[12:14] for frame in capture.frames}
        equal(kinds - {b'\x88\xe5', b'\x88\x8e'}, set(), 'only MACsec and EAPOL')
    return ident


def test_in_place():
    """control: a CAK that is replaced in one wpa_supplicant does lose frames"""
    with secured(rekey='1h', longest='2h'):
        until(alone, 'one CAK and no other')
        for site in SITES:
            DAEMONS[site].stop()
        port = next(s.port for s in SUPPLICANTS[ALICE] if s.key_id())
        streams = [Stream(site, device='bond0') for site in SITES]
        for stream in streams:
            stream.__enter__()
        cak, name = os.urandom(32).hex(), os.urandom(32).hex()
        time.sleep(1)
        for site in SITES:
            supplicant = SUPPLICANTS[site][port - 1]
            for command in (f'SET_NETWORK 0 mka_cak {cak}', f'SET_NETWORK 0 mka_ckn {name}',
                            'REASSOCIATE'):
                equal(supplicant.ask(command), 'OK\n', command)
        time.sleep(15)
        for stream in streams:
            stream.stop()
        lost = [stream.problems()[0] for stream in streams]
        if not all(lost):
            raise AssertionError(f'frames lost: {lost}')
    return f'{lost[0]} and {lost[1]} frames of {streams[0].sent} and {streams[1].sent} lost'


def test_killed():
    """daemons are killed at any time: traffic goes on, CAKs roll over when they are back"""
    with secured():
        with flowing(device='bond0') as both:
            for pause in range(scaled(20, 2)):
                for site in SITES:
                    DAEMONS[site].stop(signal.SIGKILL)
                time.sleep(pause % 4)
                for site in SITES:
                    DAEMONS[site].start()
                rolled(1)
    return f'{sum(s.sent for s in both)} frames'


def passes(site):
    try:
        site.exec('ping', '-n', '-q', '-c', 2, '-i', '0.2', '-W', 1, site.peer.address)
        return True
    except OSError:
        return False


def test_supplicant():
    """a wpa_supplicant that is killed leaves no SA in use; the other takes over"""
    with secured(rekey='1h', longest='2h'):
        old = until(alone, 'one CAK and no other')
        victim = next(s for s in SUPPLICANTS[ALICE] if s.key_id())
        victim.stop()
        until(lambda: 'UP' not in ALICE.ip('link', 'show', f'macsec{victim.port}')
              .split('>', maxsplit=1)[0], 'the device is down', 10)
        victim.start()
        new = until(lambda: agreed() not in (None, old) and agreed(), 'another CAK', 90)
        until(lambda: passes(ALICE), 'frames pass', 10)
        equal(new != old, True)


def test_over():
    """a CAK whose time is over blocks the bond; it goes on by itself"""
    with secured(rekey='10s', longest='20s'):
        DAEMONS[BOB].stop()
        equal(passes(ALICE), True, 'under the last CAK')
        until(lambda: all(s.key_id() is None for s in SUPPLICANTS[ALICE]), 'no CAK', 60)
        until(lambda: not names(ALICE), 'MKA has ended', 5)
        equal(passes(ALICE), False, 'blocked')
        equal(DAEMONS[ALICE].said('is over') > 0, True, 'it was said')
        DAEMONS[BOB].start()
        until(agreed, 'another CAK', 90)
        until(lambda: passes(ALICE), 'frames pass', 10)


def test_config():
    """what is wrong with a section is said"""
    head = ('[local]', 'name = a', 'listen = 10.8.0.1:7676', '[peer b]', f'psk = {PSK}',
            '[link q]', 'peer = b', '[mka bond0]')
    good = ('link = q', 'port = m1 /run/1', 'port = m2 /run/2')
    for change, text in (((), 'is good'),
                         (('port = m3 /run/3',), 'more than 2 ports'),
                         (('rekey-time = 2h',), 'is more than half of'),
                         (('max-time = 1s',), 'is not a time from 20s')):
        says((*head, *good, *change), text)
    says((*head, *good[:2]), 'has not two "port"s')
    says((*head, *good[:2], good[1]), 'its ports are one')
    says((*head, 'link = q', 'port = m1', good[2]), 'is not DEVICE /PATH')
    says((*head, 'link = x', *good[1:]), 'there is no [link x]')


def says(lines, text):
    path = '/run/qkd/mka.conf'
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(lines) + '\n')
    done = subprocess.run(['qkdd', '--check-config', path], capture_output=True, text=True,
                          check=False)
    if text not in done.stdout + done.stderr:
        raise AssertionError(f'{text}: {done.stdout}{done.stderr}')


if __name__ == '__main__':
    try:
        set_up(link=False)
        links_up(export=['export', 'control'])
        wire_up()
        run([test_rollover, test_name, test_in_place, test_killed, test_supplicant, test_over,
             test_config])
    finally:
        tear_down()
