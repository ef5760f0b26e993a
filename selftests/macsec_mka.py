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

from macsec_lib import ALICE, BOB, SITES, inside, links_up, set_up, tear_down, until
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
        found = re.fullmatch(r'"([0-9a-f-]{36}) \d+"', self.ask('GET_NETWORK 0 id_str'))
        return found and found[1]


SUPPLICANTS = {site: [Supplicant(site, port) for port in PORTS] for site in SITES}


def bond_up(site):
    ip = site.ip
    ip('link', 'add', 'bond0', 'type', 'bond', 'mode', 'active-backup', 'miimon', 50,
       'all_slaves_active', 1)
    for port in PORTS:
        ip('link', 'add', 'link', site.device, f'macsec{port}', 'type', 'macsec', 'port', port,
           'encrypt', 'on', 'replay', 'on', 'window', 32)
        ip('link', 'set', f'macsec{port}', 'master', 'bond0')
        ip('link', 'set', f'macsec{port}', 'down')
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


def all_alone(ident):
    """Both send under it, and no other is left."""
    return all({s.key_id() for s in SUPPLICANTS[site]} == {ident, None} for site in SITES)


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
            print('# ' + supplicant.ask('STATUS').rstrip().replace('\n', '\n# '))
            with open(supplicant.log, encoding='utf8') as file:
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


if __name__ == '__main__':
    try:
        set_up(link=False)
        links_up(export=['export', 'control'])
        wire_up()
        run([test_rollover])
    finally:
        tear_down()
