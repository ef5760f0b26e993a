# SPDX-License-Identifier: GPL-2.0-only
"""Two ends of a user link that qkd-link feeds, for selftests: supply_lib.py with an
emulated optical link in the place of the KMEs.

  qkd-link, va 10.1.0.1:7677 === wire === vb 10.1.0.2, qkd-link
"""
import contextlib
import json
import os
import signal
import subprocess
import time

from link_metrics import FAST, metric_of
from supply_lib import ALICE, BOB, ENDS, until

RUN = '/run/qkd'
PORT = 7677


class Optics:
    """qkd-link at an end."""

    def __init__(self, end):
        self.end, self.process = end, None
        self.key, self.log = f'{RUN}/{end.name}.bootstrap', f'{RUN}/{end.name}.link.log'
        self.scenario = f'{RUN}/{end.name}.scenario'
        self.metrics = f'{RUN}/{end.name}.metrics'

    def metric(self, name):
        return metric_of(self.metrics, name)

    def write_key(self, key):
        with open(os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'wb') as file:
            file.write(key)

    def start(self, *words, options=(), prefix=()):
        other = ('connect', f'{BOB.address}:{PORT}') if self.end is ALICE else \
                ('listen', f'{BOB.address}:{PORT}')
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                [*prefix, 'ip', 'netns', 'exec', self.end.name, 'qkd-link', *options,
                 self.end.name, *other, 'key-file', self.key, 'dev', 'qkd0', *(words or FAST)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, how=signal.SIGTERM):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def scene(self, *lines):
        """What disturbs the link from now on."""
        with open(self.scenario, 'w', encoding='ascii') as file:
            file.write('\n'.join(lines) + '\n')
        if self.process:
            count = self.said('read again')
            self.process.send_signal(signal.SIGHUP)
            until(lambda: self.said('read again') > count, 'the scenario is read', 60)

    def text(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.log, encoding='ascii', errors='replace') as file:
                return file.read()
        return ''

    def said(self, text):
        return self.text().count(text)


class Monitor:
    """Events of an end's link, from start() on."""

    def __init__(self, end):
        self.end, self.file, self.process = end, f'{RUN}/{end.name}.events', None
        self.since = 0

    def start(self):
        with open(self.file, 'wb') as out:
            self.process = subprocess.Popen(
                ['ip', 'netns', 'exec', self.end.name, 'qkd', '-j', 'monitor'], stdout=out,
                stdin=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def mark(self):
        """From here on events() looks."""
        self.since = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def events(self, name):
        """Those of this name."""
        with open(self.file, encoding='ascii') as file:
            found = [json.loads(line) for line in file if line.endswith('\n')]
        return [event for event in found
                if event['event'] == name and event['time'] >= self.since]


OPTICS = {end.name: Optics(end) for end in ENDS}


def bootstrap(size=65536):
    """A key of the tags, the same at both ends; its bytes."""
    key = os.urandom(size)
    for optics in OPTICS.values():
        optics.write_key(key)
    return key


def links_up(capacity='32K', low='4K', ends=ENDS, more=()):
    """The user links, and the daemons that join them; more: lines of their configuration."""
    for end in ends:
        end.link_up(low, low, **{'pad-capacity': capacity, 'key-capacity': capacity})
        end.configure(link=more)
        end.daemon.start()
    until(lambda: all(end.link().get('state') == 'up' for end in ends), 'the link is up')


def live(end, stream):
    return end.stats().get(stream, {}).get('live', 0)


def have(size, ends=ENDS):
    """Each stream that an end allocates from has so much that is usable."""
    return all(live(end, stream) >= size for end in ends
               for stream in (end.key_stream, end.pad_stream))


def tell_optics():
    for optics in OPTICS.values():
        for line in optics.text().splitlines()[-15:]:
            print(f'# {optics.end.name}: {line}')


def take_off():
    for optics in OPTICS.values():
        optics.stop()
