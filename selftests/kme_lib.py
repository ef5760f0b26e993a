# SPDX-License-Identifier: GPL-2.0-only
"""qkd-kme at both ends of an emulated link, and a client of ETSI GS QKD 014 that
shares no code with ours: Python's http.client and ssl.

Sites are the namespaces `kma` and `kmb`; each has a KME that its own SAEs reach by
127.0.0.1:8443. The SAEs of site A are a1, a2; those of site B b1, b2, b3.
"""
import base64
import http.client
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

from netns import PATIENCE, Netns, inside, run, until

DIR = '/run/qkd/kme'
PORT = 8443
TIMEOUT = 60 * PATIENCE
SAES = {'a': ('a1', 'a2'), 'b': ('b1', 'b2', 'b3')}
LINKS = {'a': 'kma0', 'b': 'kmb0'}


# ---- Certificates ----

def openssl(*words):
    run('openssl', *words)


def authority(name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
            '-days', '2', '-subj', f'/CN={name}', '-keyout', f'{DIR}/{name}.key', '-out',
            f'{DIR}/{name}.pem', '-addext', 'keyUsage=critical,keyCertSign')


def certificate(name, subject, alt=None, by='ca', dates=('-days', '2'), usage=None):
    """DIR/NAME.{pem,key}"""
    lines = ['basicConstraints=CA:FALSE']
    lines += [f'subjectAltName={alt}'] if alt else []
    lines += [f'extendedKeyUsage={usage}'] if usage else []
    with open(f'{DIR}/{name}.ext', 'w', encoding='ascii') as file:
        file.write('\n'.join(lines))
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
            subject, '-keyout', f'{DIR}/{name}.key', '-out', f'{DIR}/{name}.csr')
    openssl('x509', '-req', '-in', f'{DIR}/{name}.csr', '-CA', f'{DIR}/{by}.pem', '-CAkey',
            f'{DIR}/{by}.key', '-out', f'{DIR}/{name}.pem', '-extfile', f'{DIR}/{name}.ext',
            *dates)


def certificates():
    os.makedirs(DIR, exist_ok=True)
    os.umask(0o077)
    for name in ('ca', 'other-ca'):
        authority(name)
    for site, saes in SAES.items():
        certificate(f'kme-{site}', f'/CN=kme-{site}', 'DNS:kme.example')
        for sae in saes:
            certificate(sae, f'/CN={sae}.example', f'DNS:{sae}.example')


# ---- The servers ----

def sections(site, quota='', more=''):
    """The configuration of a site's KME."""
    other = 'b' if site == 'a' else 'a'
    text = f'''
[local]
kme-id = kme-{site}
ca = {DIR}/ca.pem
certificate = {DIR}/kme-{site}.pem
key = {DIR}/kme-{site}.key
listen = 127.0.0.1:{PORT}
{more}
[link {LINKS[site]}]
target-kme = kme-{other}
'''
    for sae in SAES[other]:
        text += f'[sae {sae}]\nlink = {LINKS[site]}\n'
    for sae in SAES[site]:
        text += f'[sae {sae}]\ncertificate-name = {sae}.example\n{quota}\n'
        for peer in SAES[other]:
            if (sae, peer) not in (('a2', 'b3'), ('b3', 'a2')):
                text += f'peer = {peer}\n'
    # a1 shares with all of b, and with two of them
    for name, slaves in (('all', SAES['b']), ('two', SAES['b'][:2])):
        text += f'[group {name}]\nmaster = a1\nkeep-time = 1h\n'
        text += ''.join(f'slave = {slave}\n' for slave in slaves)
    return text


class Kme:
    """A qkd-kme that runs in a site's namespace."""

    def __init__(self, site, text=None):
        self.site = site
        self.netns = f'km{site}'
        self.path, self.log_path = f'{DIR}/{site}.conf', f'{DIR}/{site}.log'
        self.process = None
        self.configure(text or sections(site))

    def configure(self, text):
        with open(self.path, 'w', encoding='utf-8') as file:
            file.write(text)

    def command(self):
        return ['qkd-kme', '-c', self.path]

    def start(self, listener=None):
        """With a descriptor that listens, as systemd gives it, if there is one."""
        command = self.command()
        if listener is not None:
            command = ['sh', '-c', f'exec 3<&{listener}; export LISTEN_PID=$$ LISTEN_FDS=1; '
                       'exec "$@"', 'sh', *command]
        with open(self.log_path, 'a', encoding='utf-8') as log, inside(self.netns):
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=() if listener is None else (listener,),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (-1, -1)))
        until(self.listens, 'the KME listens')
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f'the KME ended: {self.log()}')
        with inside(self.netns), socket.socket() as probe:
            return not probe.connect_ex(('127.0.0.1', PORT))

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(30 * PATIENCE)
        self.process = None

    def signal(self, number):
        self.process.send_signal(number)

    def log(self):
        with open(self.log_path, encoding='utf-8') as file:
            return file.read()

    def stats(self):
        """The counters of its log line."""
        before = len(re.findall(r'keys allocated', self.log()))
        self.signal(signal.SIGUSR1)
        until(lambda: len(re.findall(r'keys allocated', self.log())) > before, 'a status line')
        line = re.findall(r'connections \d+, requests.*', self.log())[-1]
        return {name.rpartition(': ')[2]: int(value)
                for name, value in re.findall(r'([a-zA-Z: ]+?) (\d+)(?:, |$)', line)}

    def stop_supply(self):
        """The pool stays as it is, but for what is taken."""
        Netns(self.netns).qkd('link', 'set', LINKS[self.site], 'stop')
        time.sleep(0.5)

    def start_supply(self):
        Netns(self.netns).qkd('link', 'set', LINKS[self.site], 'start')

    def reload(self):
        before = self.log().count('read again')
        self.signal(signal.SIGHUP)
        until(lambda: self.log().count('read again') > before, 'a reload')


# ---- The client ----

class Answer:
    def __init__(self, response):
        self.status = response.status
        self.type = response.getheader('Content-Type')
        self.text = response.read()
        self.body = json.loads(self.text) if self.text and self.type == 'application/json' \
            else None

    @property
    def message(self):
        return (self.body or {}).get('message')

    @property
    def keys(self):
        """[(ID, key)]"""
        return [(k['key_ID'], base64.b64decode(k['key'], validate=True))
                for k in self.body['keys']]

    @property
    def ids(self):
        return [k['key_ID'] for k in self.body['keys']]


def context(name, ca='ca', **options):
    made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=f'{DIR}/{ca}.pem')
    if name:
        made.load_cert_chain(f'{DIR}/{name}.pem', f'{DIR}/{name}.key')
    for option, value in options.items():
        setattr(made, option, value)
    return made


class Connection(http.client.HTTPSConnection):
    """From inside a namespace, to a KME whose certificate says kme.example."""

    def __init__(self, site, tls):
        super().__init__('kme.example', PORT, timeout=TIMEOUT, context=tls)
        self.site, self.tls = site, tls

    def connect(self):
        with inside(f'km{self.site}'):
            raw = socket.create_connection(('127.0.0.1', PORT), timeout=TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.tls.wrap_socket(raw, server_hostname=self.host)


class Sae:
    """An SAE: its certificate, and a connection that stays."""

    def __init__(self, name, site=None, tls=None):
        self.name, self.site = name, site or name[0]
        self.tls = tls or context(name)
        self.http = None

    def close(self):
        if self.http:
            self.http.close()
        self.http = None

    def ask(self, method, path, body=None, headers=()):
        if not self.http:
            self.http = Connection(self.site, self.tls)
        try:
            self.http.request(method, path, body, dict(headers))
            return Answer(self.http.getresponse())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def get(self, peer, call, query=''):
        return self.ask('GET', f'/api/v1/keys/{peer}/{call}' + (f'?{query}' if query else ''))

    def post(self, peer, call, body=None, kind='application/json'):
        """A body of bytes goes as it is."""
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        return self.ask('POST', f'/api/v1/keys/{peer}/{call}', data,
                        {'Content-Type': kind} if kind else {})

    def status(self, peer):
        return self.get(peer, 'status')

    def enc(self, peer, **request):
        return self.post(peer, 'enc_keys', request)

    def dec(self, master, ids):
        return self.post(master, 'dec_keys', {'key_IDs': [{'key_ID': i} for i in ids]})


# ---- The link ----

def take_down():
    for site in SAES:
        run('ip', 'netns', 'del', f'km{site}', check=False)


def wire_up(*options, export='export'):
    """Two namespaces, and the ends of an emulated link in them."""
    take_down()
    for site in SAES:
        run('ip', 'netns', 'add', f'km{site}')
        run('ip', '-n', f'km{site}', 'link', 'set', 'lo', 'up')
    add_link(*options, export=export)


def add_link(*options, export='export'):
    """With little pad, so that the supply goes to keys."""
    Netns('kma').qkd('link', 'add', LINKS['a'], 'type', 'emu', 'export', export, 'pad-capacity',
                     '64k', 'pad-low', '16k', *options, 'peer', 'name', LINKS['b'], 'netns', 'kmb')


def show(site):
    return Netns(f'km{site}').json('-s', 'link', 'show', LINKS[site])[0]


def stream(site, name):
    return next(s for s in show(site)['streams'] if s['stream'] == name)


def wait_for_key(site, number):
    """Until so many bytes of key can be allocated there."""
    name = 'a2b-key' if site == 'a' else 'b2a-key'
    until(lambda: stream(site, name)['live'] >= number, f'{number} bytes of key', 120)
