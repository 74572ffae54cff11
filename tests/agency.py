#!/usr/bin/env python3
"""An agency of a lottery in Python's standard library alone: docs/protocol.md over TLS.

    agency.py HOST PORT AGENCY BETS.csv CA.pem CERTIFICATE.pem KEY.pem

Sends the bets that the central hasn't consumed yet, ends its input, and prints the document of each
winning bet, a line each. Ends with an exception when anything isn't as it must be.
"""

import csv
import socket
import ssl
import struct
import sys
import zlib

MAGIC, MAX_FRAME, MAX_BATCH = 0xBE, 8192, 100
HELLO, BATCH, END, WINNERS_REQUEST = 0x01, 0x03, 0x04, 0x05
WELCOME, STORED, FINISHED, WINNERS, ERROR = 0x81, 0x82, 0x85, 0x86, 0xFF


def send(stream, kind, body=b""):
    stream.sendall(struct.pack("!BBH", MAGIC, kind, 4 + len(body)) + body)


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            raise EOFError("the central ended the connection")
        data += more
    return data


def receive(stream, expected):
    magic, kind, length = struct.unpack("!BBH", read_exactly(stream, 4))
    body = read_exactly(stream, length - 4)
    if kind == ERROR:
        raise RuntimeError(f"error {body[0]}: {body[1:].decode()}")
    if (magic, kind) != (MAGIC, expected):
        raise RuntimeError(f"expected {expected:#x}, found {magic:#x} {kind:#x}")
    return body


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def batches(bets, position):
    """Positions and counts of batches, each as large as fits into a frame, and their bytes."""
    while position < len(bets):
        data, count = b"", 0
        for bet in bets[position : position + MAX_BATCH]:
            if 4 + 10 + len(data) + len(bet) > MAX_FRAME:
                break
            data, count = data + bet, count + 1
        yield position, count, data
        position += count


def winners(stream):
    last = 0
    while not last:
        body = receive(stream, WINNERS)
        last, count = struct.unpack_from("!BH", body)
        at = 3
        for _ in range(count):
            yield body[at + 1 : at + 1 + body[at]].decode()
            at += 1 + body[at]


def main(host, port, agency, file, ca, certificate, key):
    with open(file, newline="", encoding="utf-8") as rows:
        bets = [b"".join(short(field) for field in row) for row in csv.reader(rows)]
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    with socket.create_connection((host, int(port)), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname=host) as stream:
            send(stream, HELLO, struct.pack("!BI", 1, int(agency)))
            consumed, checksum, _, _ = struct.unpack("!QIQB", receive(stream, WELCOME))
            if checksum != zlib.crc32(b"".join(bets[:consumed])):
                raise RuntimeError("the central has consumed another input")
            for position, count, data in batches(bets, consumed):
                send(stream, BATCH, struct.pack("!QH", position, count) + data)
                if struct.unpack("!Q", receive(stream, STORED)) != (position + count,):
                    raise RuntimeError("not what was sent")
            send(stream, END, struct.pack("!Q", len(bets)))
            if struct.unpack("!QQ", receive(stream, FINISHED)) != (len(bets), 0):
                raise RuntimeError("not all bets were stored")
            send(stream, WINNERS_REQUEST)
            for document in winners(stream):
                print(document)


if __name__ == "__main__":
    main(*sys.argv[1:])
