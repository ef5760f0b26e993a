# SPDX-License-Identifier: GPL-2.0-only
"""keyring_mac.py SERIAL FILE: does the kernel, with the key of that number, which
nobody can read, make the MAC that the bytes of a file make?"""
import hashlib
import hmac
import socket
import struct
import sys

ALG_SET_KEY_BY_KEY_SERIAL = 7
TEXT = b'one key, two places'

alg = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
alg.bind(('hash', 'hmac(sha256)'))
alg.setsockopt(socket.SOL_ALG, ALG_SET_KEY_BY_KEY_SERIAL, struct.pack('=i', int(sys.argv[1])))
op, _ = alg.accept()
op.sendall(TEXT)
with open(sys.argv[2], 'rb') as file:
    expected = hmac.new(file.read(), TEXT, hashlib.sha256).digest()
sys.exit(op.recv(32) != expected)
