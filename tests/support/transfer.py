#!/usr/bin/env python3
"""transfer: a TCP transfer that goes on until it is told to end, each byte checked.

  transfer.py serve PORT           takes one connection; prints the bytes that came, all as sent
  transfer.py send ADDRESS PORT    sends until SIGTERM; an error or a stall of 10 s is exit 1"""

import hashlib
import signal
import socket
import sys
import time

STALL_S = 10
BLOCK = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256)) * 2  # 16 KiB


def serve(port):
    with socket.create_server(("0.0.0.0", port)) as server:
        connection, _ = server.accept()
    connection.settimeout(STALL_S)
    n = 0
    while data := connection.recv(len(BLOCK)):
        at = n % len(BLOCK)
        if data != (BLOCK * 2)[at:at + len(data)]:
            sys.exit(f"transfer: wrong bytes after {n}")
        n += len(data)
    print(n)


def send(address, port):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    with socket.create_connection((address, port), timeout=STALL_S) as connection:
        n = 0
        while not stop or n % len(BLOCK):
            n += connection.send(BLOCK[n % len(BLOCK):])
            time.sleep(0.001)  # at most 16 MB/s: the point is to live, not to fill the cores
    print(n)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        send(sys.argv[2], int(sys.argv[3]))
