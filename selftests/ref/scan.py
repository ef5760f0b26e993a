# SPDX-License-Identifier: GPL-2.0-only
"""Looks for bytes of streams in a dump of a machine's memory."""
import bisect
import os
import subprocess
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'scan_ram.c')


def scan(path, secrets):
    """[(address, name, offset in the secret, length)] of all runs of at least
    16 bytes, at any alignment; secrets = [(name, bytes)]."""
    starts, joined = [], bytearray()
    for _, data in secrets:
        starts.append(len(joined))
        joined += data + bytes(-len(data) % 8)
    with tempfile.TemporaryDirectory() as folder:
        program, needles = os.path.join(folder, 'scan_ram'), os.path.join(folder, 'secrets')
        with open(needles, 'wb') as file:
            file.write(joined)
        subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-o', program, SOURCE], check=True)
        output = subprocess.run([program, path, needles], check=True,
                                capture_output=True, text=True).stdout
    hits = []
    for line in output.splitlines():
        at, where, length = map(int, line.split())
        index = bisect.bisect_right(starts, where) - 1
        hits.append((at, secrets[index][0], where - starts[index], length))
    return hits
