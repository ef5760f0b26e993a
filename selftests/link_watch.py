#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How a link is watched: what link_watch makes of states that are made up here, as
metrics, on a terminal and as a report, is read back and compared with them."""
import contextlib
import fcntl
import html.parser
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

from ktap import equal, run, scaled                         # noqa: E402

PROGRAM = os.path.abspath('link_watch')
PATIENCE = 60                           # seconds for what should be there at once
STREAMS = 'a2b-pad', 'a2b-key', 'b2a-pad', 'b2a-key'
STAGES = 'connect', 'wait', 'light', 'reconcile', 'verify', 'amplify', 'feed', 'stopped'
HISTORY, RECENT, REASONS = 4096, 16, 16             # of tools/qkd-link/stats.h
HOSTILE = '<b a="1">\'&amp;`id`\\{}$(id)\x1b[2J\n%s]]>'
PLAIN = HOSTILE.replace('\x1b', '?').replace('\n', '?')

BLOCK = {'pulses': 10**9, 'sifted': 10**6, 'leaked': 161_234, 'failed': 2,
         'qber': 0.0123, 'f': 1.25, 'key': 40_960, 'bits': 331_072, 'proof': 'finite key: test',
         'eps_sec': 1e-9, 'eps_cor': 1e-15}
STATE = {'preset': 'bb84-fibre-50km', 'link_name': 'qkd0', 'alice': True,
         'stage': 3, 'progress': 0.4, 'clock': 120.5, 'wall': 61.25,
         'transmittance': 0.1, 'background': 2e-6, 'attack': 0, 'fraction': 0,
         'tamper': 0, 'tamper_fraction': 0, 'alarm': None, 'auth_send': 65536,
         'auth_receive': 32768, 'auth_used': 12345, 'auth_low': 4096, 'auth_bad': 0,
         'level': [1 << 20, 1 << 18, 0, 12345], 'capacity': [1 << 24, 1 << 22] * 2,
         'blocks': [BLOCK | {'time': 10.0 * i + 10, 'wall': 5.0 * i + 5} for i in range(12)]}
ATTACKED = STATE | {
    'alice': False, 'attack': 1, 'fraction': 0.25, 'tamper': 1, 'tamper_fraction': 0.5,
    'alarm': 'QBER above the threshold', 'auth_bad': 7, 'auth_send': 100,
    'blocks': [BLOCK | {'time': 10.0 * i + 10, 'wall': 5.0 * i + 5} |
               ({'why': 'QBER', 'qber': 0.25, 'bits': 0, 'key': 0} if i % 3 else {})
               for i in range(12)]}
EMPTY = STATE | {'blocks': [], 'clock': 0, 'wall': 0, 'capacity': [0] * 4, 'level': [0] * 4,
                 'transmittance': 0}
NASTY = ATTACKED | {
    'link_name': HOSTILE[:15], 'model_name': HOSTILE[:31], 'alarm': HOSTILE,
    'blocks': [BLOCK | {'time': 10.0, 'wall': 5.0, 'why': HOSTILE, 'proof': HOSTILE}]}
# More blocks than are remembered, and more reasons than are counted.
LONG = STATE | {'clock': 50_000, 'wall': 640, 'blocks': [
    BLOCK | {'time': 10.0 * i + 10, 'wall': 0.125 * i + 0.125} | ({'why': f'reason {i % 20}'} if i % 7 == 0 else {})
    for i in range(HISTORY + 904)]}

work = tempfile.TemporaryDirectory(prefix='link_watch.')


def command(state, *words):
    """The command line that shows a state."""
    path = os.path.join(work.name, 'state.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(state, file)
    return [PROGRAM, path, *map(str, words)]


def watch(state, *words, **options):
    result = subprocess.run(command(state, *words), stdin=subprocess.DEVNULL, check=False,
                            capture_output=True, timeout=PATIENCE, **options)
    # without a translation of line ends
    result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
    return result


def complains(result, *words):
    """It failed, with one line on stderr that has these words, and nothing else."""
    equal(result.stdout, '', 'stdout')
    if not 0 < result.returncode < 99 or len(result.stderr.splitlines()) != 1 or \
            not all(word in result.stderr for word in words):
        raise AssertionError(f'{result}: should complain, with {words}')


def kept(state):
    return [block for block in state['blocks'] if not block.get('why')]


def dropped(state):
    return [block for block in state['blocks'] if block.get('why')]


# ---- Metrics ----

def path_of(name):
    return os.path.join(work.name, name)


@contextlib.contextmanager
def serving(state, where):
    """A process that serves a state; it has to end well when it is told to."""
    with subprocess.Popen(command(state, 'metrics', where), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            equal(process.stdout.readline(), 'ready\n')
            yield process
            process.stdin.close()
            equal(process.wait(PATIENCE), 0, 'exit status')
        finally:
            process.kill()


def curl(*words):
    """Status, headers and body of an answer."""
    answer = subprocess.run(['curl', '-sS', '-i', '--max-time', str(PATIENCE), *words],
                            check=True, capture_output=True, text=True).stdout
    head, _, body = answer.partition('\n\n')
    lines = head.splitlines()
    headers = dict(line.lower().split(': ', 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


def get(path, *words):
    return curl('--unix-socket', path, 'http://localhost/metrics', *words)


LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
ESCAPED = {'\\\\': '\\', '\\"': '"', '\\n': '\n'}


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match or match[1] in labels:
            raise AssertionError(f'labels: {text!r}')
        labels[match[1]] = re.sub(r'\\.', lambda part: ESCAPED[part[0]], match[2])
        at = match.end()
    return frozenset(labels.items())


def parse_metrics(text):
    """{name: {labels: value}} by the rules of Prometheus' text format 0.0.4: HELP and
    TYPE once, before the samples, which are in one group; no sample twice."""
    families, family, helped = {}, None, None
    equal(text[-1:], '\n', 'last character')
    for line in text.splitlines():
        if match := re.match(r'# HELP (\S+) (.+)$', line):
            helped = match[1]
        elif match := re.match(r'# TYPE (\S+) (counter|gauge)$', line):
            family = match[1]
            equal(family, helped, 'HELP before TYPE')
            if family in families:
                raise AssertionError(f'{family} comes twice')
            equal(family.endswith('_total'), match[2] == 'counter', family)
            families[family] = {}
        elif match := SAMPLE.match(line):
            equal(match[1], family, 'group')
            labels = labels_of(match[2] or '')
            if labels in families[family]:
                raise AssertionError(f'{line} comes twice')
            families[family][labels] = float(match[3])
        else:
            raise AssertionError(f'{line!r} is no line of the format')
    empty = [name for name, samples in families.items() if not samples]
    equal(empty, [], 'without samples')
    return families


def rate(state, of, clock='clock', time_of='time'):
    """Over the last blocks and the time since."""
    blocks = state['blocks']
    since = blocks[-RECENT - 1][time_of] if len(blocks) > RECENT else 0
    return sum(map(of, blocks[-RECENT:])) / (state[clock] - since)


def fed_rate(state):
    """By the wall's clock, which the link's own is faster or slower than."""
    return rate(state, fed, 'wall', 'wall')


def fed(block):
    return 8 * block['key']


def secret(block):
    return 0 if block.get('why') else block['bits']


def blocks_by_reason(state):
    """As the program counts them: reasons beyond its table are one."""
    counts = {}
    for block in dropped(state):
        why = block['why']
        if why not in counts and len(counts) >= REASONS - 1:
            why = 'other reasons'
        counts[why] = counts.get(why, 0) + 1
    return counts


def wanted(state, **names):
    """What there should be, by name without prefix and labels without the link's."""
    blocks = state['blocks']
    want = {
        ('info', ('role', 'alice' if state['alice'] else 'bob'), ('protocol', 'bb84'),
         ('model', names.get('model', state['preset'])), ('reconcile', 'ldpc')): 1,
        ('stage_progress_ratio',): state['progress'],
        ('alarm',): int(state['alarm'] is not None),
        ('clock_seconds_total',): state['clock'],
        ('wall_seconds_total',): state['wall'],
        ('transmittance_ratio',): state['transmittance'],
        ('background_ratio',): state['background'],
        ('attack_ratio', ('attack', ('none', 'intercept-resend')[state['attack']])):
            state['fraction'],
        ('tamper_ratio', ('tamper', ('none', 'alter')[state['tamper']])):
            state['tamper_fraction'],
        ('qber_ratio',): blocks[-1]['qber'],
        ('pulses_total',): sum(block['pulses'] for block in blocks),
        ('sifted_bits_total',): sum(block['sifted'] for block in blocks),
        ('leaked_bits_total',): sum(block['leaked'] for block in blocks),
        ('failed_frames_total',): sum(block['failed'] for block in blocks),
        ('secret_bits_total',): sum(map(secret, blocks)),
        ('sifted_key_rate_bits_per_second',): rate(state, lambda block: block['sifted']),
        ('secret_key_rate_bits_per_second',): rate(state, secret),
        ('fed_bits_total',): sum(map(fed, blocks)),
        ('fed_key_rate_bits_per_second',): fed_rate(state),
        ('blocks_total', ('result', 'ok'), ('reason', '')): len(kept(state)),
        ('block_reconciliation_efficiency_ratio',): blocks[-1]['f'],
        ('block_proof', ('proof', names.get('why', blocks[-1]['proof']))): 1,
        ('block_secrecy_epsilon',): blocks[-1]['eps_sec'],
        ('block_correctness_epsilon',): blocks[-1]['eps_cor'],
        ('auth_key_bytes', ('direction', 'send')): state['auth_send'],
        ('auth_key_bytes', ('direction', 'receive')): state['auth_receive'],
        ('auth_key_low_bytes',): state['auth_low'],
        ('auth_key_used_bytes_total',): state['auth_used'],
        ('bad_messages_total',): state['auth_bad'],
    }
    for i, stage in enumerate(STAGES):
        want['stage', ('stage', stage)] = int(i == state['stage'])
    for i, stream in enumerate(STREAMS):
        want['pool_bytes', ('stream', stream)] = state['level'][i]
        want['pool_capacity_bytes', ('stream', stream)] = state['capacity'][i]
    for why, count in blocks_by_reason(state).items():
        why = names.get('why', why)
        want['blocks_total', ('result', 'dropped'), ('reason', why)] = count
    link = ('link', names.get('link', state['link_name']))
    return {('qkd_link_' + name, frozenset((link, *labels))): float(f'{value:.15g}')
            for (name, *labels), value in want.items()}


def check_metrics(text, state, **names):
    got = {(name, labels): value for name, samples in parse_metrics(text).items()
           for labels, value in samples.items()}
    threshold = [got.pop(key) for key in list(got)
                 if key[0] == 'qkd_link_qber_threshold_ratio']
    equal(len(threshold), 1, 'thresholds')
    if not 0 < threshold[0] <= 0.11:
        raise AssertionError(f'threshold {threshold[0]}: BB84 has no key above 11 %')
    want = wanted(state, **names)
    for key in want.keys() | got.keys():
        equal(got.get(key), want.get(key), key)
    return len(got)


def test_metrics_socket():
    """Metrics over a socket: the format, and each value"""
    path, count = path_of('metrics'), 0
    for state in STATE, ATTACKED, LONG:
        with serving(state, path):
            status, headers, body = get(path)
            equal((status, headers['content-type']), (200, 'text/plain; version=0.0.4'))
            count += check_metrics(body, state)
        equal(os.path.exists(path), False, 'the socket, afterwards')
    return f'{count} values'


def test_metrics_hostile():
    """Metrics with hostile names: labels are escaped"""
    path = path_of('metrics')
    with serving(NASTY, path):
        check_metrics(get(path)[2], NASTY, link=PLAIN[:15], model=PLAIN[:31],
                      why=HOSTILE.replace('\x1b', '?'))


def test_metrics_empty():
    """Metrics before the first block"""
    path = path_of('metrics')
    with serving(EMPTY, path):
        got = parse_metrics(get(path)[2])
    equal(set(got['qkd_link_secret_key_rate_bits_per_second'].values()), {0.0})
    equal(set(got['qkd_link_blocks_total'].values()), {0.0})


def free_port(family=socket.AF_INET, address='127.0.0.1'):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


def test_metrics_port():
    """Metrics on a port, IPv4 and IPv6"""
    for family, host in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '[::1]'):
        where = f'{host}:{free_port(family, host.strip("[]"))}'
        with serving(STATE, where):
            status, _, body = curl('-g', f'http://{where}/metrics')
            equal(status, 200)
            check_metrics(body, STATE)


def test_metrics_refuses():
    """Other paths are not found, other methods not allowed"""
    path = path_of('metrics')
    with serving(STATE, path):
        for url in '/', '/metrics/', '/metrics/x', '/Metrics', '/../metrics', '/%6detrics/..':
            status, _, body = curl('--path-as-is', '--unix-socket', path, 'http://localhost' + url)
            equal((status, body), (404, ''), url)
        for method in 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'NONSENSE':
            status, headers, body = get(path, '-X', method, '-d', 'x' * 100)
            equal((status, headers['allow'], body), (405, 'get, head', ''), method)
        status, headers, body = get(path, '-I')
        equal((status, body), (200, ''), 'HEAD')
        if int(headers['content-length']) < 1000:
            raise AssertionError(f'HEAD: {headers}')
        # it is still there after those
        equal(get(path)[0], 200)


def test_metrics_where():
    """Where metrics cannot be served: one line says so, and nothing is removed"""
    shape = 'should be ADDRESS:PORT'
    for where in ('127.0.0.1', ':9101', '::1:9101', '[::1]9101', '[]:9101', '[::1:9101', '127.0.0.1:',
                  '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:+80', '127.0.0.1:80x', ''):
        complains(watch(STATE, 'metrics', where), '--metrics', shape)
    complains(watch(STATE, 'metrics', '192.0.2.1:9101'), '192.0.2.1:9101')
    complains(watch(STATE, 'metrics', '/' + 'x' * 200), 'too long')
    complains(watch(STATE, 'metrics', '/nowhere/metrics'), 'No such file')
    path = path_of('file')
    with open(path, 'w', encoding='ascii') as file:
        file.write('mine')
    complains(watch(STATE, 'metrics', path), 'in use')
    with open(path, encoding='ascii') as file:
        equal(file.read(), 'mine')
    path = path_of('metrics')
    with serving(STATE, path):
        complains(watch(STATE, 'metrics', path), path, 'in use')
        equal(get(path)[0], 200, 'the one that was there')
    port = free_port()
    with serving(STATE, f'127.0.0.1:{port}'):
        complains(watch(STATE, 'metrics', f'127.0.0.1:{port}'), 'in use')


def test_metrics_stale():
    """A socket that a dead process left is taken over"""
    path = path_of('metrics')
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    with serving(STATE, path):
        equal(get(path)[0], 200)
    equal(os.path.exists(path), False)


def test_race():
    """Copies are of one moment, while blocks come"""
    blocks = scaled(200_000)
    result = watch(EMPTY, 'race', blocks)
    equal((result.returncode, result.stderr), (0, ''))
    return f'{blocks} blocks'


# ---- The terminal ----

CSI = re.compile('\x1b\\[[0-9;?]*[A-Za-z]')


def lines_of(picture):
    """The lines of a picture without control sequences, of which there are no others."""
    lines = re.split('\r+\n', CSI.sub('', picture))
    for line in lines:
        if any(ord(char) < 32 or ord(char) == 127 for char in line):
            raise AssertionError(f'control characters: {line!r}')
    return lines


def test_draw_fits():
    """A picture fits into any terminal, in colours or not"""
    count = 0
    for state in STATE, NASTY, EMPTY, LONG:
        for columns in range(1, 161, 160 // scaled(160)):
            for rows, *looks in (24,), (5, 'color'), (1, 'utf8'), (50, 'color', 'utf8'):
                result = watch(state, 'draw', columns, rows, *looks)
                equal((result.returncode, result.stderr), (0, ''))
                lines = lines_of(result.stdout)
                if len(lines) > rows or max(map(len, lines)) > max(columns - 1, 0):
                    raise AssertionError(f'{columns} by {rows}: {lines}')
                equal('m' in ''.join(CSI.findall(result.stdout)), 'color' in looks, 'colours')
                if 'utf8' not in looks:
                    result.stdout.encode('ascii')
                count += 1
    return f'{count} pictures'


def picture(state, *words):
    """The lines of a big one, by their first word."""
    lines = lines_of(watch(state, 'draw', *(words or (120, 40))).stdout)
    return lines[0], {line.split()[0]: line for line in lines[1:]}


def test_draw_says():
    """A picture says what is given"""
    head, lines = picture(STATE)
    for word in 'qkd0', 'Alice', 'bb84', 'ldpc', STATE['preset']:
        equal(word in head, True, f'{word} in {head}')
    want = {'time': '0:02:00 of the link in 0:01:01', 'alarm': 'none', 'stage': '[reconcile 40 %]',
            'sifted': f'{rate(STATE, lambda block: block["sifted"]) / 1e3:.2f} kbit/s, in all 12 Mbit',
            'secret': f'{rate(STATE, secret) / 1e3:.2f} kbit/s',
            'fed': f'{fed_rate(STATE) / 1e3:.2f} kbit/s by the wall, in all 3.93 Mbit', 'QBER': ' 1.23 %',
            'channel': '10.00 dB, background 2.0e-06', 'scenario': 'none',
            'blocks': '12 kept, 0 dropped, the last one: 331072 bit, f 1.250',
            'proof': 'finite key: test, eps_sec 1e-09, eps_cor 1e-15',
            'tags': '64 KiB out, 32 KiB in, low mark 4 KiB, 0 bad', 'a2b-pad': '1 MiB of 16 MiB',
            'a2b-key': '256 KiB of 4 MiB', 'b2a-pad': '0 B of 16 MiB',
            'b2a-key': '12.06 KiB of 4 MiB', 'QBERs': '############ up to 1.23 %'}
    for word, text in want.items():
        equal(text in lines[word], True, f'{text!r} in {lines[word]!r}')
    head, lines = picture(ATTACKED)
    want = {'alarm': ATTACKED['alarm'], 'QBER': '25.00 %', 'blocks': '4 kept, 8 dropped, the last one: QBER',
            'scenario': 'intercept-resend 0.25 messages: alter 0.5', 'tags': '7 bad',
            'keys': '#__#__#__#__'}
    equal('Bob' in head, True, head)
    for word, text in want.items():
        equal(text in lines[word], True, f'{text!r} in {lines[word]!r}')
    equal('no light' in picture(EMPTY)[1]['channel'], True)
    equal('blinding 1 (no figure here shows it)' in
          picture(STATE | {'attack': 3, 'fraction': 1})[1]['scenario'], True)


ENTER, LEAVE = '\x1b[?1049h\x1b[?25l', '\x1b[0m\x1b[?25h\x1b[?1049l'


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, state, how, columns=80, rows=24, env=None):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        environment = dict(os.environ, TERM='xterm', LANG='C.UTF-8')
        for name in 'NO_COLOR', 'LC_ALL', 'LC_CTYPE':
            environment.pop(name, None)
        self.process = subprocess.Popen(                # pylint: disable=consider-using-with
            command(state, 'top', how), stdin=self.slave, stdout=self.slave,
            stderr=subprocess.PIPE, env=environment | (env or {}), start_new_session=True)
        self.text = ''

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('4H', rows, columns, 0, 0))

    def read_until(self, done):
        end = time.monotonic() + PATIENCE
        while not done(self.text):
            if time.monotonic() > end:
                raise AssertionError(f'not in {PATIENCE} s: {self.text!r}')
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode()

    def read_pictures(self, count):
        """Waits for so many whole ones from now on; the last of them."""
        begun = self.text.count('\x1b[J')
        self.read_until(lambda text: text.count('\x1b[J') >= begun + count)
        return self.text.split('\x1b[H')[-1].split('\x1b[J')[0]

    def end(self):
        """Exit status, when the terminal is as it was."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > end:
                self.process.kill()
                raise AssertionError(f'does not end in {PATIENCE} s')
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode()
        self.read_until(lambda text: text.endswith(LEAVE))
        equal(self.text.count(LEAVE), 1, 'times that it was left')
        equal(self.text.startswith(ENTER), True, 'entered')
        equal(termios.tcgetattr(self.slave), self.before, 'settings of the terminal')
        equal(self.process.stderr.read(), b'')
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(*args, **options):
    term = Terminal(*args, **options)
    try:
        yield term
    finally:
        term.close()


def test_top():
    """--top draws once a second, in the window's size, and leaves the terminal as it was"""
    with terminal(STATE, 'wait') as term:
        text = term.read_pictures(2)
        equal('\x1b[' in CSI.sub('', text), False)
        equal(any(cell in text for cell in '▁█'), True, 'small bars')
        equal('\x1b[32m' in text, True, 'colours')
        equal(max(map(len, lines_of(text))) <= 79, True, 'width')
        flags = termios.tcgetattr(term.slave)[3]
        equal(bool(flags & termios.ECHO), False, 'echo')
        term.resize(30, 8)
        text = term.read_pictures(2)
        lines = lines_of(text)
        equal((len(lines), max(map(len, lines))), (8, 29), 'size')
        term.process.send_signal(signal.SIGTERM)
        equal(term.end(), -signal.SIGTERM)
    with terminal(STATE, 'end', env={'NO_COLOR': '1', 'LANG': 'C'}) as term:
        text = term.read_pictures(1)
        equal('m' in ''.join(CSI.findall(text)), False, 'colours')
        text.encode('ascii')
        equal(term.end(), 0)


def test_top_signals():
    """Whatever ends the process, the terminal is put right first"""
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT:
        with terminal(STATE, 'wait') as term:
            term.read_pictures(1)
            term.process.send_signal(number)
            equal(term.end(), -number)
    with terminal(STATE, 'own') as term:
        term.read_pictures(1)
        term.process.send_signal(signal.SIGTERM)
        equal(term.end(), 7, "the program's own handler")
    with terminal(STATE, 'exit') as term:
        equal(term.end(), 3, 'exit()')


def test_top_stuck():
    """A terminal that takes nothing stops neither a signal nor the end"""
    with terminal(LONG, 'wait', columns=1000, rows=200) as term:
        end = time.monotonic() + PATIENCE
        # its buffer is full when there is no room for a picture
        while select.select([], [term.slave], [], 0)[1]:
            os.write(term.slave, b'x' * 1024)
            if time.monotonic() > end:
                raise AssertionError('the terminal is never full')
        term.process.send_signal(signal.SIGTERM)
        equal(term.process.wait(PATIENCE), -signal.SIGTERM)


def test_top_refuses():
    """--top without a terminal, or with one that cannot do it"""
    complains(watch(STATE, 'top', 'end'), '--top', 'not a terminal')
    for name in 'dumb', '':
        with terminal(STATE, 'end', env={'TERM': name}) as term:
            equal(term.process.wait(PATIENCE), 1)
            equal(b'--top: TERM' in term.process.stderr.read(), True)
            equal(select.select([term.master], [], [], 0)[0], [], 'something was drawn')


# ---- The report ----

XHTML = '{http://www.w3.org/1999/xhtml}'
SVG = '{http://www.w3.org/2000/svg}'


class Balanced(html.parser.HTMLParser):
    """HTML whose elements are closed in order, and that loads nothing."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        for name, value in attrs:
            if name in ('src', 'href', 'xlink:href', 'style') and \
                    not re.match(r'#|[^(]*$', value):
                raise AssertionError(f'{tag} loads {value}')
            if tag in ('script', 'link', 'img', 'iframe', 'object') or name.startswith('on'):
                raise AssertionError(f'{tag} {name}')

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        equal(tag, self.open.pop() if self.open else None, 'end of')


def make_report(state, name, **options):
    path = path_of(name)
    result = watch(state, 'report', path, **options)
    equal((result.returncode, result.stderr), (0, ''))
    equal(os.stat(path).st_mode & 0o777, 0o644)
    with open(path, encoding='utf-8') as file:
        return file.read()


def page_of(state):
    """Its tables, by their id, as lists of rows of texts; and all of it."""
    text = make_report(state, 'report.html')
    parser = Balanced()
    parser.feed(text)
    equal(parser.open, [], 'elements that are not closed')
    root = ElementTree.fromstring(text)
    tables = {table.get('id'): [[''.join(cell.itertext()) for cell in row] for row in table]
              for table in root.iter(XHTML + 'table')}
    return tables, root


def points(root):
    """How many crosses (of those that were dropped) and dots there are in a picture;
    those of its two legends, which come with the first one, are left out."""
    used = [use.get('{http://www.w3.org/1999/xlink}href') for use in root.iter(SVG + 'use')]
    return tuple(max(used.count(shape) - 2, 0) for shape in ('#gpPt6', '#gpPt1'))


def check_blocks(tables, state):
    blocks = list(enumerate(state['blocks']))[-HISTORY:]
    rows = tables['blocks'][1:]
    equal(len(rows), len(blocks), 'rows')
    for row, (number, block) in zip(rows, blocks):
        why = block.get('why')
        want = (number, block['time'], block['pulses'], block['sifted'],
                100 * block['qber'], block.get('chsh', 0), block.get('visibility', 0),
                block['leaked'], block['f'], secret(block), block['key'],
                block['eps_sec'], block['eps_cor'])
        for got, value in zip(row, want):
            if abs(float(got) - value) > 1e-5 * abs(value):
                raise AssertionError(f'{row}: {got} should be {value}')
        equal(row[13:], [block['proof'], why or ''])


def check_totals(tables, state):
    got = {name: value.split()[0] for name, value in
           (row for row in tables['totals'] if len(row) == 2)}
    blocks = state['blocks']
    want = {"The link's time": state['clock'], 'Time that took': state['wall'],
            'Blocks kept': len(kept(state)), 'Blocks dropped': len(dropped(state)),
            'Pulses': sum(block['pulses'] for block in blocks),
            'Sifted key': sum(block['sifted'] for block in blocks),
            'Told about it': sum(block['leaked'] for block in blocks),
            'Secret key': sum(map(secret, blocks)),
            'Secret key rate, mean': sum(map(secret, blocks)) / state['clock'],
            'Key that was fed': sum(map(fed, blocks)),
            'Key that was fed by time that took': sum(map(fed, blocks)) / state['wall'],
            'QBER, last': 100 * blocks[-1]['qber'],
            'Key of tags, used': state['auth_used'], 'Bad messages': state['auth_bad']}
    for name, value in want.items():
        equal(float(got[name]), float(f'{value:.15g}'), name)


def test_report_numbers():
    """A page has all numbers: totals, blocks, reasons"""
    for state in STATE, ATTACKED, LONG:
        tables, root = page_of(state)
        check_totals(tables, state)
        check_blocks(tables, state)
        reasons = {why: int(count) for why, count in tables.get('reasons', [[]])[1:]}
        equal(reasons, blocks_by_reason(state))
        alarm = [part.text for part in root.iter(XHTML + 'p') if part.get('id') == 'alarm']
        equal(alarm, [state['alarm']] if state['alarm'] else [])
        equal("blinds Bob's detectors shows in none of these" in ''.join(root.itertext()), True)


def test_report_model():
    """A page has the model's figures, where each is from, and the preset's sources"""
    changed = STATE | {'model': {'length': '30 km', 'dark': '1e-6'}}
    tables, root = page_of(changed)
    rows = {name: (value, source) for name, value, source in tables['model'][1:]}
    equal(rows['length'], ('30000 m', 'user'))
    equal(rows['dark'], ('1e-06', 'user'))
    equal(rows['protocol'], ('bb84', 'preset'))
    equal({source for name, (_, source) in rows.items() if name not in ('length', 'dark')},
          {'preset'}, 'what was not changed')
    sources = [part.text for part in root.iter(XHTML + 'pre')]
    equal(len(sources), 1)
    equal(sources[0].startswith(STATE['preset'] + ':'), True, sources[0])
    equal('022307' in sources[0], True, 'Lim et al.')
    equal('bb84-metro' in sources[0], False, "another preset's")
    tables, _ = page_of(NASTY)
    equal({row[2] for row in tables['model'][1:]}, {'user'}, 'of an unknown preset')


def test_report_hostile():
    """A page with hostile names is still one, and says them"""
    tables, root = page_of(NASTY)
    check = tables['blocks'][1]
    equal(check[13:], [PLAIN, PLAIN])
    equal(tables['reasons'][1], [PLAIN, '1'])
    equal(root.find(f'{XHTML}head/{XHTML}title').text, 'qkd-link ' + PLAIN[:15])
    equal([part.tag for part in root.iter(XHTML + 'b')], [])


def test_report_picture():
    """A picture has a point for each block, and curves of all protocols"""
    for state in STATE, ATTACKED:
        root = ElementTree.fromstring(make_report(state, 'report.svg'))
        equal(root.tag, SVG + 'svg')
        equal(points(root), (2 * len(kept(state)), 2 * len(dropped(state))), 'points')
        texts = [''.join(part.itertext()) for part in root.iter(SVG + 'text')]
        for name in 'bb84', 'b92', 'e91', 'bbm92', 'cow', 'cow-variant':
            equal(any(text.split(':')[0] == name for text in texts), True, name)
    _, root = page_of(STATE)
    equal(points(root), (2 * len(STATE['blocks']), 0), 'the same on a page')


def test_report_presets():
    """There is a report of each protocol and medium, and of none but the first block"""
    for preset in ('bb84-metro', 'bb84-free-space-night', 'bb84-satellite', 'bb84-indoor',
                   'bb84-terahertz', 'b92-fibre-2km', 'e91-fibre-20km', 'bbm92-fibre-50km',
                   'cow-fibre-2km', 'cow-variant-fibre-10km'):
        root = ElementTree.fromstring(make_report(STATE | {'preset': preset}, 'report.svg'))
        texts = [''.join(part.itertext()) for part in root.iter(SVG + 'text')]
        name = 'cow-variant' if 'variant' in preset else preset.split('-')[0]
        equal([text for text in texts if text.endswith('finite blocks')],
              [name + ', finite blocks'] * (name in ('bb84', 'bbm92', 'cow-variant')), preset)
    tables, root = page_of(EMPTY)
    equal(len(tables['blocks']), 1)
    equal(points(root), (0, 0))


def left_over():
    return [name for name in os.listdir(work.name) if 'report' in name]


def fake_gnuplot(text):
    folder = path_of('bin')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, 'gnuplot')
    with open(path, 'w', encoding='ascii') as file:
        file.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)
    return {'PATH': folder, 'LD_LIBRARY_PATH': os.environ['LD_LIBRARY_PATH']}


def test_report_refuses():
    """What cannot be reported is said before anything is done"""
    for name in left_over():
        os.unlink(path_of(name))
    for name in 'report', 'report.txt', 'report.html.gz', 'html', '':
        complains(watch(STATE, 'report', path_of(name) if name else ''), '.html or .svg')
    complains(watch(STATE, 'report', '/nowhere/report.html'), 'No such file')
    os.mkdir(path_of('folder.html'))
    complains(watch(STATE, 'report', path_of('folder.html')), 'directory')
    path = path_of('report.html')
    complains(watch(STATE, 'report', path, env={
        'PATH': '/nowhere', 'LD_LIBRARY_PATH': os.environ['LD_LIBRARY_PATH']}),
        'there is no gnuplot: install it')
    complains(watch(STATE, 'report', path, env=fake_gnuplot('echo broken >&2\nexit 3\n')),
              'gnuplot fails: broken')
    complains(watch(STATE, 'report', path, env=fake_gnuplot('exit 0\n')), 'gnuplot fails')
    equal(left_over(), [], 'files')


def test_report_old_stays():
    """A report that cannot be written leaves the old one as it was"""
    path = path_of('report.html')
    size = len(make_report(LONG, 'report.html'))
    picture_size = len(make_report(LONG, 'report.svg'))
    os.unlink(path_of('report.svg'))
    old = make_report(STATE, 'report.html')
    limit = size - 1000
    equal(picture_size < limit, True, 'the picture alone fits')

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    complains(watch(LONG, 'report', path, preexec_fn=limited), path, 'too large')
    with open(path, encoding='utf-8') as file:
        equal(file.read(), old)
    equal(left_over(), ['report.html'], 'files')


if not shutil.which('gnuplot') or not shutil.which('curl'):
    print('1..0 # SKIP there is no gnuplot or curl')
    sys.exit(4)
run([test_metrics_socket, test_metrics_hostile, test_metrics_empty, test_metrics_port,
     test_metrics_refuses, test_metrics_where, test_metrics_stale, test_race,
     test_draw_fits, test_draw_says, test_top, test_top_signals, test_top_stuck,
     test_top_refuses, test_report_numbers, test_report_model, test_report_hostile,
     test_report_picture, test_report_presets, test_report_refuses,
     test_report_old_stays])
