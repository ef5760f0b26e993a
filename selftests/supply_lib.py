# SPDX-License-Identifier: GPL-2.0-only
"""Two ends of a user link that qkdd feeds from KMEs, for selftests.

  namespace alice                                    namespace bob
  KME 127.0.0.1                                      KME 127.0.0.1
  qkdd, va 10.1.0.1 ============ wire ============= vb 10.1.0.2, qkdd
  lo 10.2.1.1 -------------- OTP tunnel ------------ lo 10.2.2.1
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import accounts                                             # noqa: E402
import genl                                                 # noqa: E402
from netns import Netns, inside, run, until                 # noqa: E402
from qkdd_daemon import Daemon                              # noqa: E402

PSK = '/run/qkd/supply.psk'
KEY_LOW, PAD_LOW = 8192, 16384


class End(Netns):
    """One end, and its qkdd."""

    def __init__(self, name, number):
        super().__init__(name)
        self.number, self.address, self.inner = number, f'10.1.0.{number}', f'10.2.{number}.1'
        self.peer = self.client = None
        self.daemon = Daemon(self)

    def connect(self):
        with inside(self.name):
            self.client = genl.Qkd()

    def link_up(self, pad_low=PAD_LOW, key_low=KEY_LOW, **more):
        words = [str(word) for pair in more.items() for word in pair]
        self.qkd('link', 'add', 'qkd0', 'type', 'user', 'role', self.name, 'id',
                 f'site {self.name}', 'peer-id', f'site {self.peer.name}', 'export', 'export',
                 *words)
        self.qkd('link', 'set', 'qkd0', 'pad-low', pad_low, 'key-low', key_low)

    def link_down(self):
        self.qkd('link', 'del', 'qkd0', check=False)

    def link(self):
        return self.client.do('link-get', name='qkd0')

    def stats(self):
        """Accounts by stream."""
        return {stat['stream']: stat for stat in self.link().get('stat', ())}

    @property
    def key_stream(self):
        """What this end allocates keys from."""
        return 'a2b-key' if self.name == 'alice' else 'b2a-key'

    @property
    def pad_stream(self):
        return self.key_stream[:4] + 'pad'

    def usable(self, stream):
        """Bytes of a stream that ever became so."""
        stat = self.stats().get(stream, {})
        return stat.get('supplied', 0) - stat.get('pending', 0) - stat.get('lost', 0)

    def left(self, size=512):
        return self.client.do('status', link_name='qkd0', class_='export', size=size)['available']

    def drain(self, size=512):
        """Keys are allocated, and burnt, until there are none of this size."""
        with inside(self.name):
            client = genl.Qkd()
        try:
            while self.left(size):
                client.do('key-get', link_name='qkd0', class_='export', size=size,
                          count=min(self.left(size), 32))
        finally:
            client.close()

    def is_fed(self):
        """Both of its tx streams are full, as far as they are filled, and confirmed."""
        link = self.link()
        stats = {stat['stream']: stat for stat in link.get('stat', ())}
        return link.get('state') == 'up' and all(
            stat['live'] >= 2 * low and not stat.get('pending') for stat, low in
            ((stats[self.key_stream], KEY_LOW), (stats[self.pad_stream], PAD_LOW)))

    def refused(self):
        """What its SAs refused, by reason, but for packets without key or link."""
        out = {}
        for sa in self.json('-s', 'esp', 'show'):
            for reason, count in sa['refused'].items():
                if reason not in ('no_key', 'not_here', 'link') and count:
                    out[reason] = out.get(reason, 0) + count
        return out

    def configure(self, kme=(), link=()):
        """kme: lines of [kme k]; link: more lines of [link qkd0]."""
        peer = self.peer
        lines = ['[local]', f'name = {self.name}', f'listen = {self.address}:7676',
                 f'[peer {peer.name}]', f'psk = {PSK}', 'timeout = 5s']
        if self.name == 'alice':
            lines.append(f'connect = {peer.address}:7676')
        lines += ['[link qkd0]', f'peer = {peer.name}', *link]
        if kme:
            lines += ['supply = k', '[kme k]', *kme]
        self.daemon.write(lines)


ALICE, BOB = End('alice', 1), End('bob', 2)
ALICE.peer, BOB.peer = BOB, ALICE
ENDS = (ALICE, BOB)


def wire_up():
    for end in ENDS:
        run('ip', 'netns', 'add', end.name)
    run('ip', 'link', 'add', 'va', 'netns', 'alice', 'type', 'veth', 'peer', 'name', 'vb',
        'netns', 'bob')
    for end, device in zip(ENDS, ('va', 'vb')):
        end_up(end, device)
    write_psk(os.urandom(32))


def end_up(end, device):
    """Its addresses; the device that leads to its peer is in its namespace."""
    end.ip('link', 'set', 'lo', 'up')
    end.ip('addr', 'add', f'{end.address}/24', 'dev', device)
    end.ip('addr', 'add', f'{end.inner}/32', 'dev', 'lo')
    end.ip('link', 'set', device, 'up')
    end.ip('route', 'add', f'{end.peer.inner}/32', 'via', end.peer.address, 'src', end.inner)
    end.connect()


def write_psk(psk):
    os.makedirs('/run/qkd', exist_ok=True)
    with open(os.open(PSK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
              encoding='ascii') as file:
        file.write(psk.hex())


def take_down(ends=ENDS):
    for end in ends:
        end.daemon.stop()
        end.ip('xfrm', 'policy', 'flush', check=False)
        end.ip('xfrm', 'state', 'flush', check=False)
        end.link_down()
        if end.client:
            end.client.close()
        run('ip', 'netns', 'del', end.name, check=False)


def tunnel_up(ends=ENDS, both=()):
    """Under the one-time pad, both ways; nothing else passes. both: words of all its SAs."""
    inner = {end.name: end.inner for end in ENDS}
    for end in ends:
        sas_up(end, 0x1000, 'otp', both=both)
        policies_up(end, inner, 1)


def sas_up(end, spi, cipher, *more, both=()):
    """An SA each way; more: words of the outbound one; both: of both."""
    for one, other, words in ((end, end.peer, ('dir', 'out', *more, *both)),
                              (end.peer, end, ('dir', 'in', 'replay-window', 64, *both))):
        end.qkd('esp', 'add', 'src', one.address, 'dst', other.address, 'spi',
                spi + one.number, 'dev', 'qkd0', 'cipher', cipher, 'mode', 'tunnel', 'reqid',
                spi >> 12, *words)


def policies_up(end, inner, reqid):
    for direction, one, other in (('out', end, end.peer), ('in', end.peer, end)):
        end.ip('xfrm', 'policy', 'add', 'src', inner[one.name], 'dst', inner[other.name], 'dir',
               direction, 'tmpl', 'src', one.address, 'dst', other.address, 'proto', 'esp',
               'reqid', reqid, 'mode', 'tunnel')


def tunnel_down():
    for end in ENDS:
        end.ip('xfrm', 'policy', 'flush')
        end.ip('xfrm', 'state', 'flush')


def pings(count=10):
    """How many came back."""
    said = ALICE.exec('ping', '-q', '-n', '-c', count, '-i', '0.05', '-s', 1000, '-W', 2,
                      BOB.inner, check=False)
    return int(said.partition(' received')[0].rpartition(' ')[2])


def fed(seconds=60):
    until(lambda: all(end.is_fed() for end in ENDS), 'both ends are fed', seconds)


def accounts_of(end):
    return end.json('-s', 'link', 'show', 'qkd0')[0]


def problems(shown=None):
    """What does not add up, at rest; shown: both links, if they are not both here."""
    shown = shown or [accounts_of(end) for end in ENDS]
    return (accounts.problems_of_end(shown[0]) + accounts.problems_of_end(shown[1]) +
            accounts.problems_across(*shown))


def tell(ends=ENDS):
    """For a failure: the ends of both logs, and the links."""
    for end in ends:
        for line in end.daemon.lines()[-15:] + \
                end.qkd('-s', 'link', 'show', check=False).splitlines():
            print(f'# {end.name}: {line}')
