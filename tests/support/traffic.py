#!/usr/bin/env python3
"""traffic: connections of the kernel's TCP that ask and answer, to be captured.
Usage: traffic.py serve PORT | traffic.py ask ADDRESS PORT FLOWS SEED

The server listens on PORTS ports from PORT on: a client's ports are not used again while it runs.

An exchange is a request that begins with two lengths, its own and its answer's. Short ones and long
ones, uploads and downloads; a connection has one or many of them, and some wait in between."""

import asyncio
import random
import struct
import sys

HEAD = struct.Struct(">II")
AT_ONCE = 40
PORTS = 10
MSS = 1448
POOL = bytes(1 << 20)


async def answer(reader, writer):
    try:
        while True:
            length, wanted = HEAD.unpack(await reader.readexactly(HEAD.size))
            await reader.readexactly(length - HEAD.size)
            writer.write(POOL[:wanted])
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(port):
    servers = [await asyncio.start_server(answer, port=port + i, limit=1 << 20) for i in range(PORTS)]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def size(dice, mean):
    """Heavy-tailed. No segment of one byte: such a one might be a keep-alive."""
    n = min(int(dice.paretovariate(1.3) * mean / 4), 400_000) + HEAD.size
    return n + 1 if n % MSS == 1 else n


async def ask(address, port, seed, turn):
    dice = random.Random(seed)
    async with turn:
        reader, writer = await asyncio.open_connection(address, port, limit=1 << 20)
        exchanges = 1 + int(dice.expovariate(1 / 10))
        for _ in range(exchanges):
            up, down = (size(dice, m) for m in ((12_000, 800) if dice.random() < .2 else (600, 12_000)))
            writer.write(HEAD.pack(up, down) + POOL[:up - HEAD.size])
            await reader.readexactly(down)
            if dice.random() < .05:
                await asyncio.sleep(.05)
        writer.close()
        await writer.wait_closed()


async def ask_all(address, port, flows, seed):
    turn = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(ask(address, port + i % PORTS, f"{seed} {i}", turn) for i in range(flows)))


def main():
    if sys.argv[1:2] == ["serve"] and len(sys.argv) == 3:
        asyncio.run(serve(int(sys.argv[2])))
    elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 6:
        asyncio.run(ask_all(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
