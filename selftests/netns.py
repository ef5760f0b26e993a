# SPDX-License-Identifier: GPL-2.0-only
"""Commands, waiting, and network namespaces, for selftests in Python."""
import contextlib
import json
import os
import subprocess
import time

# The debug kernel takes four times as long.
PATIENCE = 4 if os.path.exists('/sys/kernel/debug/kmemleak') else 1


def run(*words, check=True):
    """The output of a command; an OSError with what it said if it fails."""
    done = subprocess.run(words, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode:
        raise OSError(done.returncode, f'{" ".join(words)}: {done.stdout}{done.stderr}')
    return done.stdout


def until(condition, what, seconds=30):
    """Waits for the condition, as long as on a fast machine, and three times as long on
    others; its value."""
    seconds *= 3 * PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not after {seconds} s')
        time.sleep(0.02)


@contextlib.contextmanager
def inside(netns):
    with open('/proc/self/ns/net', encoding='ascii') as home:
        with open(f'/run/netns/{netns}', encoding='ascii') as there:
            os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home.fileno(), os.CLONE_NEWNET)


@contextlib.contextmanager
def namespace(name):
    run('ip', 'netns', 'add', name)
    try:
        yield
    finally:
        run('ip', 'netns', 'del', name)


class Netns:
    """Commands in a namespace."""

    def __init__(self, name):
        self.name = name

    def ip(self, *words, check=True):
        return run('ip', '-n', self.name, *map(str, words), check=check)

    def exec(self, *words, check=True):
        return run('ip', 'netns', 'exec', self.name, *map(str, words), check=check)

    def qkd(self, *words, check=True):
        return self.exec('qkd', *words, check=check)

    def json(self, *words):
        return json.loads(self.qkd('-j', *words))
