#!/usr/bin/env python3
"""tapsend: an interface with two RX queues, in this network namespace, and packets on both.

Usage: tapsend.py IFACE ADDRESS/LENGTH MTU FILE RATE LOOP

A tap device delivers a frame by the queue that it was written to; veth in generic XDP mode gives
every packet to queue 0. The frames of FILE (mirrored packets over untagged IPv4, all to one MAC) go
out LOOP times, RATE per second, by queue 0 or 1 as their outer UDP source port is even or odd.
Prints "ready", waits for a line on standard input, sends, prints the count of packets and the
seconds; the interface lives until this program is ended."""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import time

import capture

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_MULTI_QUEUE, IFF_NO_PI = 0x0002, 0x0100, 0x1000  # linux/if_tun.h
SOURCE_PORT = 14 + 20  # behind Ethernet and IPv4 without options


def open_queue(interface):
    queue = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TAP | IFF_MULTI_QUEUE | IFF_NO_PI
    fcntl.ioctl(queue, TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
    return queue


def bring_up(interface, address, mtu, mac):
    for words in (["link", "set", interface, "address", mac.hex(":"), "mtu", mtu, "up"],
                  ["address", "add", address, "dev", interface]):
        subprocess.run(["ip", *words], check=True)


def send(frames, rate, queues):
    """frames, each with its queue, on an absolute schedule."""
    start = time.monotonic()
    for i, (queue, frame) in enumerate(frames):
        # In steps of 32: a sleep per packet costs more than the packet.
        if i % 32 == 0:
            time.sleep(max(0, start + i / rate - time.monotonic()))
        if os.write(queues[queue], frame) != len(frame):
            sys.exit(f"tapsend: frame {i} was not written whole")
    return time.monotonic() - start


def main():
    interface, address, mtu, path, rate, loop = sys.argv[1:]
    with open(path, "rb") as stream:
        frames = [(p.data[SOURCE_PORT + 1] & 1, p.data) for p in capture.Capture(stream)]
    frames *= int(loop)
    queues = [open_queue(interface) for _ in range(2)]
    bring_up(interface, address, mtu, frames[0][1][:6])
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    seconds = send(frames, float(rate), queues)
    print(f"{len(frames)} {seconds:.1f}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
