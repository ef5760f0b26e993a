# SPDX-License-Identifier: GPL-2.0-only
"""What a running qkd-link shows, and figures for one that is quick; for selftests."""
import contextlib
import http.client
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

# Detectors of superconducting nanowires, and blocks that an emulated CPU makes in seconds.
FAST = ('preset bb84-fibre-50km set efficiency=80% set dark=1e-8 set afterpulse=0 '
        'set misalignment=0.3% set mu=0.5 set nu1=0.15 set key-basis=0.6 set block=100000').split()


class Unix(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, name):
        super().__init__('localhost')
        self.name = name

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.name)


def metric_of(path, name):
    """Of --metrics at a socket: the sum over its labels; 0 before it is there."""
    try:
        with contextlib.closing(Unix(path)) as client:
            client.request('GET', '/metrics')
            text = client.getresponse().read().decode()
    except (FileNotFoundError, ConnectionRefusedError):
        return 0
    return sum(float(value) for value in
               re.findall(rf'^qkd_link_{name}(?:{{.*}})? (\S+)$', text, re.M))
