# SPDX-License-Identifier: GPL-2.0-only
"""What two guests tell each other through the runner, as lib.sh has it for shell."""
import fcntl
import os

ROLE = os.environ.get('ROLE', 'alice')


def ask(*words):
    """A request, and the runner's answer."""
    with open('/run/qkd/request.lock', 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = os.open('/dev/ttyS1', os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(line, f'#@ {" ".join(words)}\n'.encode())
            answer = b''
            while not answer.endswith(b'\n'):
                answer += os.read(line, 1)
        finally:
            os.close(line)
    state, _, text = answer.decode().strip().partition(' ')
    if state != 'ok':
        raise OSError(f'{words[0]}: {state} {text}')
    return text


def barrier(name):
    """Until the other guest is here, too."""
    ask('barrier', name)


def put(name, value):
    ask('put', name, value)


def get(name):
    """What the other guest put there, when it has."""
    return ask('get', name)


class Steps:
    """Tests that both guests go through together. After one that failed neither waits."""

    def __init__(self):
        self.failed = False

    def __call__(self, test):
        def step():
            if self.failed:
                raise AssertionError('a test before it failed')
            try:
                barrier(test.__name__)
                return test()
            except Exception:
                self.failed = True
                raise
        step.__doc__ = test.__doc__
        return step
