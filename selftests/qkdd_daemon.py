# SPDX-License-Identifier: GPL-2.0-only
"""A qkdd in a namespace, for selftests in Python."""
import contextlib
import signal
import subprocess


class Daemon:
    """Lines of its log; prefix: words before the command."""

    def __init__(self, site, prefix=()):
        self.site, self.prefix = site, prefix
        self.config = f'/run/qkd/{site.name}.conf'
        self.log = f'/run/qkd/{site.name}.log'
        self.process, self.marked = None, 0

    def write(self, lines):
        with open(self.config, 'w', encoding='ascii') as file:
            file.write('\n'.join(lines) + '\n')

    def start(self):
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                ['ip', 'netns', 'exec', self.site.name, *self.prefix, 'qkdd', '-c', self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, how=signal.SIGTERM):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def lines(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.log, encoding='ascii', errors='replace') as file:
                return file.read().splitlines()
        return []

    def mark(self):
        """From here on new() looks."""
        self.marked = len(self.lines())

    def new(self):
        return self.lines()[self.marked:]

    def said(self, text):
        return sum(text in line for line in self.lines())
