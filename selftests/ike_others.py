# SPDX-License-Identifier: GPL-2.0-only
"""Other IKE daemons in bob's place, each in a tree of its own: unstable's charon,
without our plugin or with it, and Libreswan's pluto."""
import os
import re
import subprocess

from ike_lib import ALICE, BOB, INNER, PROPOSAL, PSK, Charon, connection
from macsec_lib import run, until

TREES = '/opt/peers'
WHACK = '/usr/libexec/ipsec/whack'
# What a daemon needs in its tree. The mounts are its own, and end with it.
ENTER = '''
mount -t tmpfs tmpfs {tree}/run
mount -t tmpfs tmpfs {tree}/tmp
mount -t proc proc {tree}/proc
mount --rbind /dev {tree}/dev
mkdir -p {tree}/run/pluto {tree}{dir}
mount --bind {dir} {tree}{dir}
exec chroot {tree} {command}'''


def entering(site, tree, directory, command):
    """Words that run the command in the tree."""
    script = ENTER.format(tree=f'{TREES}/{tree}', dir=directory, command=command)
    return ['ip', 'netns', 'exec', site.name, 'sh', '-e', '-c', script]


def spawn(words, **more):
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, **more)


class Strongswan(Charon):
    """Unstable's charon. Its swanctl.conf is loaded by the system's swanctl."""
    name = 'strongSwan'

    def __init__(self, plugin=False, ike=PROPOSAL, level=1, **more):
        super().__init__(BOB)
        self.plugin, self.ike, self.level, self.more = plugin, ike, level, more

    def begin(self):
        """With `more` in its connection."""
        made = connection(self.site, proposals=self.ike, **self.more)
        self.configure({'site': made}, plugin=self.plugin, level=self.level)
        self.start()
        self.forget()

    def start(self):
        words = entering(self.site, 'strongswan', self.dir, '/usr/sbin/charon-systemd')
        self.process = spawn(words, env={**os.environ,
                                         'STRONGSWAN_CONF': f'{self.dir}/strongswan.conf'})
        until(self.answers, f'charon of {self.site.name}', 60)
        self.load()

    def version(self):
        return re.search(r'[0-9.]+', self.swanctl('--version', '--daemon')).group()

    def hold(self, ppks, offer=None):
        """Exactly these PPKs, {ID: key}; the ID to `offer` as the initiator."""
        made = connection(self.site, proposals=self.ike, ppk_id=offer or '*',
                          ppk_required='yes')
        self.load_with({'site': made}, {f'ppk-{n}': {'secret': '0x' + key.hex(), 'id': f'"{name}"'}
                                        for n, (name, key) in enumerate(ppks.items())})
        self.swanctl('--load-all', '--clear')

    def try_up(self):
        self.initiate(check=False)


class Libreswan(Charon):
    """pluto, with a configuration of its own kind."""
    name = 'Libreswan'
    ike = PROPOSAL

    def __init__(self, ppk='insist'):
        super().__init__(BOB)
        self.ppk = ppk

    def begin(self):
        """Without a secret that is a PPK."""
        run('rm', '-rf', f'{self.dir}/nss', f'{self.dir}/log')
        os.makedirs(f'{self.dir}/nss')
        self.write_secrets({})
        self.write_config(None)
        run(*entering(self.site, 'libreswan', self.dir,
                      f'certutil -N -d sql:{self.dir}/nss --empty-password'))
        self.process = spawn(entering(self.site, 'libreswan', self.dir, '/usr/libexec/ipsec/pluto '
                                      f'--nofork --config {self.dir}/ipsec.conf'))
        until(lambda: 'listening' in self.whack('--listen', check=False), 'pluto', 60)
        self.whack('--impair', 'revival')       # a failed attempt is not repeated
        self.load_config()
        self.forget()

    def inside_words(self, *words):
        """A program in pluto's tree."""
        return ['nsenter', '-t', str(self.pid), '-m', '-n', '-r', '-w', *words]

    def inside(self, *words, check=True):
        return run(*self.inside_words(*words), check=check)

    def whack(self, *words, check=True):
        return self.inside(WHACK, *words, check=check)

    def version(self):
        return self.inside('/usr/libexec/ipsec/pluto', '--version').split()[1]

    def write_text(self, name, text):
        with open(f'{self.dir}/{name}', 'w', encoding='ascii') as file:
            file.write(text)

    def write_secrets(self, ppks):
        ends = '@bob.example @alice.example :'
        self.write_text('ipsec.secrets', ''.join(
            [f'{ends} PSK "{PSK}"\n'] +
            [f'{ends} PPKS "{name}" 0x{key.hex()}\n' for name, key in ppks.items()]))

    def write_config(self, offer):
        self.write_text('ipsec.conf', f'''config setup
	logfile={self.dir}/log
	logtime=no
	nssdir={self.dir}/nss
	secretsfile={self.dir}/ipsec.secrets
	dnssec-enable=no

conn site
	keyexchange=ikev2
	authby=secret
	left={BOB.address}
	leftid=@bob.example
	leftsubnet={INNER["bob"]}/32
	right={ALICE.address}
	rightid=@alice.example
	rightsubnet={INNER["alice"]}/32
	ike=aes256-sha2_256-dh31
	esp=aes_gcm256
	leftupdown=%disabled
	auto=ignore
	ppk={self.ppk}
''' + (f'\tppk-ids="{offer}"\n' if offer else ''))

    def load_config(self):
        self.inside('/usr/libexec/ipsec/addconn', '--config', f'{self.dir}/ipsec.conf', 'site')

    def hold(self, ppks, offer=None):
        """As for strongSwan."""
        self.write_secrets(ppks)
        self.write_config(offer)
        self.whack('--rereadsecrets')
        self.whack('--delete', '--name', 'site', check=False)
        self.load_config()

    def try_up(self):
        run('timeout', '60', *self.inside_words(WHACK, '--initiate', '--name', 'site'), check=False)
