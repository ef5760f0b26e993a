# SPDX-License-Identifier: GPL-2.0-only
"""afalg.py KEY: an unprivileged user tries to use, wrap or replace qkd(otp).

KEY is the handle that "ip xfrm state" prints for a live SA. Nothing may come
out but -ENOKEY, and no name may bind that XFRM would take instead of ours.
"""
import errno
import os
import socket
import sys

NOBODY = 65534
IV, ICV = 8, 16
# What takes the name of the algorithm it wraps, at a higher priority.
WRAPPERS = ('pcrypt(qkd-otp)', 'cryptd(qkd-otp)', 'pcrypt(qkd(otp))', 'cryptd(qkd(otp))',
            'pcrypt(pcrypt(qkd-otp))', 'cryptd(pcrypt(qkd-otp))', 'pcrypt(cryptd(qkd-otp))')
# Other templates that take an AEAD, or make names of this kind.
TEMPLATES = ('seqiv(qkd(otp))', 'echainiv(qkd(otp))', 'essiv(qkd(otp),sha256)',
             'rfc4106(qkd(otp))', 'rfc4309(qkd(otp))', 'rfc4543(qkd(otp))', 'rfc7539(qkd,otp)',
             'qkd(qkd(otp))', 'qkd(gcm(aes))')

results = [0, 0]


def check(name, good, why=''):
    if not good and why:
        print(f'{name}: {why}')
    results[good] += 1
    print(f"{'ok' if good else 'not ok'} - {name}")


def bind(kind, name):
    sock = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
    try:
        sock.bind((kind, name))
    except OSError as error:
        sock.close()
        return error.errno
    return sock


def crypt(sock, operation, assoc):
    """What an operation on 64 zero bytes gives: bytes or an errno."""
    try:
        request, _ = sock.accept()
    except OSError as error:
        return error.errno
    with request:
        data = bytes(assoc + IV + 64 + (ICV if operation == socket.ALG_OP_DECRYPT else 0))
        try:
            request.sendmsg_afalg([data], op=operation, iv=bytes(IV), assoclen=assoc)
            return request.recv(len(data) + ICV)
        except OSError as error:
            return error.errno


def use(kind, name, key):
    """Everything that the user can do with an AEAD that binds."""
    sock = bind(kind, name)
    if isinstance(sock, int):
        return [sock]
    out = []
    with sock:
        try:
            sock.setsockopt(socket.SOL_ALG, socket.ALG_SET_KEY, key)
            sock.setsockopt(socket.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, ICV)
        except OSError as error:
            return [error.errno]
        for operation in (socket.ALG_OP_ENCRYPT, socket.ALG_OP_DECRYPT):
            for assoc in (8, 12):
                out.append(crypt(sock, operation, assoc))
    return out


def other_lengths():
    """setkey takes 16 bytes, setauthsize 16; no other tag can be asked for."""
    with bind('aead', 'qkd(otp)') as sock:
        for length in (0, 1, 15, 17, 32, 64):
            try:
                sock.setsockopt(socket.SOL_ALG, socket.ALG_SET_KEY, bytes(length))
                return f'a key of {length} bytes'
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOPROTOOPT):
                    return f'{length}: {error}'
        for length in (0, 4, 8, 12, 15, 17):
            try:
                sock.setsockopt(socket.SOL_ALG, socket.ALG_SET_AEAD_AUTHSIZE, None, length)
                return f'a tag of {length} bytes'
            except OSError as error:
                if error.errno != errno.EINVAL:
                    return f'{length}: {error}'
    return ''


def main():
    handle = bytes.fromhex(sys.argv[1].removeprefix('0x'))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)

    keys = {'the handle of a live SA': handle, 'zeros': bytes(16), 'ones': b'\xff' * 16,
            'its number plus one': (int.from_bytes(handle, 'big') + 1).to_bytes(16, 'big')}
    for what, key in keys.items():
        for name in ('qkd(otp)', 'qkd-otp'):
            got = use('aead', name, key)
            check(f'{name} with {what}: every operation is ENOKEY', got == [errno.ENOKEY] * 4, got)
    for name in WRAPPERS:
        got = use('aead', name, handle)
        check(f'{name} does not bind', got in ([errno.EINVAL], [errno.ENOENT]), got)
    for name in TEMPLATES:
        got = use('aead', name, handle)
        check(f'{name} gives nothing', all(isinstance(one, int) for one in got), got)
    for kind in ('skcipher', 'hash', 'rng'):
        got = bind(kind, 'qkd(otp)')
        check(f'qkd(otp) is no {kind}', got in (errno.ENOENT, errno.EINVAL), got)
    why = other_lengths()
    check('other lengths of key and tag are refused', not why, why)
    sys.exit(results[0])


main()
