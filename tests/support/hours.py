#!/usr/bin/env python3
"""hours.py OUT.pcap MINUTES SESSIONS FLOWS PACKETS_PER_SECOND PAYLOAD: a capture of mirrored packets over MINUTES.

FLOWS TCP connections at a time, of a minute each, spread evenly over SESSIONS sessions (10.0.0.N, VNI N). Prints, of
one flow of the middle minute, what a search for it must give: its endpoints, its Community ID, its session, the time
range, and the SHA-256 over the captured bytes of its packets in order, with their number; and the same of its session's
packets in that minute."""

import base64
import hashlib
import json
import random
import struct
import sys

START_S = 1795255200


def address(text):
    return bytes(int(part) for part in text.split("."))


def endpoints(minute, flow, flows):
    server = f"10.2.{flow % 7}.1"
    client = f"10.1.{flow // 250}.{flow % 250 + 1}"
    return client, 20000 + (minute * flows + flow) % 40000, server, 443


def community_id(client, client_port, server, server_port):
    a, b = sorted([(address(client), client_port), (address(server), server_port)])
    seed = struct.pack("!H", 0) + a[0] + b[0] + struct.pack("!BBHH", 6, 0, a[1], b[1])
    return "1:" + base64.b64encode(hashlib.sha1(seed).digest()).decode()


def inner_head(client, client_port, server, server_port, payload_len, back):
    source, destination = (server, client) if back else (client, server)
    ports = (server_port, client_port) if back else (client_port, server_port)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + payload_len, 1, 0, 64, 6, 0, address(source), address(destination))
    tcp = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, 0x10, 65535, 0, 0)
    return bytes.fromhex("020000000001020000000002") + b"\x08\x00" + ip + tcp


def outer_head(session, inner_len):
    udp_len = 16 + inner_len
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + udp_len, 1, 0, 64, 17, 0, address(f"10.0.0.{session}"),
                     address("10.9.9.9"))
    udp = struct.pack("!HHHH", 40000, 4789, udp_len, 0)
    vxlan = struct.pack("!II", 0x08000000, session << 8)
    return bytes.fromhex("020000000003020000000004") + b"\x08\x00" + ip + udp + vxlan


def main():
    path = sys.argv[1]
    minutes, sessions, flows, rate, payload_len = map(int, sys.argv[2:7])
    dice = random.Random(1)
    text = b"GET /nudm-sdm/v2 " * payload_len
    n_random = payload_len // 2  # so it packs to about a half
    wanted_minute, wanted_flow = minutes // 2, flows // 3
    wanted_session = wanted_flow % sessions + 1
    of_flow, of_session = [0, hashlib.sha256()], [0, hashlib.sha256()]
    step_ns = 10**9 // rate
    inner_len = 54 + payload_len
    record_len = inner_len + 50
    with open(path, "wb", buffering=1 << 22) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for minute in range(minutes):
            heads = [(outer_head(flow % sessions + 1, inner_len),
                      inner_head(*endpoints(minute, flow, flows), payload_len, back))
                     for flow in range(flows) for back in (False, True)]
            for i in range(60 * rate):
                flow = i % flows if i < flows else dice.randrange(flows)
                outer, inner = heads[2 * flow + (i & 1)]
                payload = dice.randbytes(n_random) + text[:payload_len - n_random]
                ns = minute * 60 * 10**9 + i * step_ns
                out.write(struct.pack("<IIII", START_S + ns // 10**9, ns % 10**9, record_len, record_len))
                out.write(outer)
                out.write(inner)
                out.write(payload)
                if minute == wanted_minute:
                    for is_one, truth in ((flow == wanted_flow, of_flow),
                                          (flow % sessions + 1 == wanted_session, of_session)):
                        if is_one:
                            truth[0] += 1
                            truth[1].update(inner + payload)
    client, client_port, server, server_port = endpoints(wanted_minute, wanted_flow, flows)
    print(json.dumps({
        "flow": f"tcp {client}:{client_port} {server}:{server_port}",
        "community": community_id(client, client_port, server, server_port),
        "host": client, "session": f"10.0.0.{wanted_session}-{wanted_session}",
        "from": START_S + 60 * wanted_minute, "to": START_S + 60 * (wanted_minute + 1),
        "flow_truth": f"{of_flow[0]} {of_flow[1].hexdigest()}",
        "session_truth": f"{of_session[0]} {of_session[1].hexdigest()}"}))


main()
