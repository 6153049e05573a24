#!/usr/bin/env python3
"""cost: what KPIs and floods of flows cost. Prints a verdict, or what is wrong and exits 1.

  cost.py ratios BENCH FLOWS ROUNDS N     KPIs against decap, dissect and flow; a flood against none; at
                                          most N times what is wanted
  cost.py bound VXPROBE MIXGEN DIR FLOWS  memory of so many flows against what is printed
  cost.py flood VXPROBE MIXGEN DIR SYNS   what a flood of so many flows changes of a session's KPIs"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

KPI_RATIO_MAX = 1.5
FLOOD_RATIO_MAX = 2.0
FLOWS_MAX = 65536
# Of a session that is flooded itself: flows, connections begun, packets and shares of them. Everything
# else, and all of another session, has to stay.
OF_FLOOD = re.compile(r"vxprobe_(session_(captured|undirected)_|protocol_|flows(_created_total|_ended_total)?\{|"
                      r"session_loss_visible_ratio|tcp_connection(s_attempted|_failures)_total)")
WORKER_FLOWS = re.compile(r'^vxprobe_worker_flows\{worker="0"\} (\d+)$', re.M)
PRINTED_BOUND = re.compile(r"memory: at most (\d+) bytes")
FIRST_SESSION = re.compile(r'^(\w+\{[^}]*vni="1"[^}]*\}) (\S+)$', re.M)
EVICTED = re.compile(r'^vxprobe_flows_ended_total\{[^}]*reason="evicted"[^}]*\} (\d+)$', re.M)


def require(condition, sentence):
    if not condition:
        sys.exit(sentence)


def read(vxprobe, mixgen, folder, generated, options):
    """What vxprobe says of generated packets: metrics, log, its largest resident set in bytes."""
    metrics, log = Path(folder, "metrics"), Path(folder, "log")
    source = subprocess.Popen([mixgen, *generated], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    with log.open("wb") as err:
        probe = subprocess.Popen([vxprobe, "read", "-", "-o", folder, "--unencrypted", "--unknown-sessions", "count",
                                  "--memory", "16GiB", "--metrics", metrics, *options],
                                 stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=err)
    source.stdout.close()
    _, status, usage = os.wait4(probe.pid, 0)
    source.wait()
    require(status == 0 and source.returncode == 0, f"vxprobe read ends with {status}: {log.read_text()}")
    return metrics.read_text(), log.read_text(), usage.ru_maxrss * 1024


def ratios(bench, flows, rounds, times):
    r = json.loads(subprocess.run([bench, flows, rounds], check=True, capture_output=True).stdout)
    told = (f"{r['flow_ns']} ns per packet for decap, dissect and flow, {r['kpi_ns']} ns with KPIs: they cost "
            f"{r['ratio'] - 1:.2f} times as much again, the whole {r['ratio']} times; "
            f"under a flood {r['flood_ns']} ns: {r['flood_ratio']}")
    require(r["evicted"] > 0 and r["flows"] >= int(flows), f"the bench has not done its work: {r}")
    require(r["ratio"] - 1 <= int(times) * KPI_RATIO_MAX, f"KPIs cost more than {KPI_RATIO_MAX} times decap, dissect and flow: {told}")
    require(r["flood_ratio"] <= int(times) * FLOOD_RATIO_MAX, f"a flood costs more than half of the rate: {told}")
    return told


def bound(vxprobe, mixgen, folder, flows):
    n = int(flows)
    metrics, log, resident = read(vxprobe, mixgen, folder, ["-f", flows, "-p", str(10 * n)], ["--flows-max", flows])
    alive, printed = int(WORKER_FLOWS.search(metrics)[1]), int(PRINTED_BOUND.search(log)[1])
    require(alive >= n * 0.999, f"only {alive} of {n} flows are kept")
    require(resident <= printed, f"{alive} flows take {resident} bytes, and {printed} were printed")
    return f"{alive} flows in {resident >> 20} MiB of {printed >> 20} printed"


def first_session(metrics):
    return dict(FIRST_SESSION.findall(metrics))


def evicted(metrics):
    return sum(map(int, EVICTED.findall(metrics)))


def flood(vxprobe, mixgen, folder, syns):
    flows, packets = (20000, 2000000) if int(syns) > 10**6 else (5000, 400000)
    mix = ["-f", str(flows), "-p", str(packets), "-t", "1000"]
    options = ["--flows-max", str(FLOWS_MAX)]
    calm = first_session(read(vxprobe, mixgen, folder, mix, options)[0])
    require(len(calm) > 50, f"only {len(calm)} series of the session")
    told = []
    for vni in ("2", "1"):
        metrics = read(vxprobe, mixgen, folder, [*mix, "-s", syns, "-v", vni], options)[0]
        flooded = first_session(metrics)
        differ = [f"{name}: {calm.get(name)}, flooded {flooded.get(name)}"
                  for name in sorted(calm.keys() | flooded.keys()) if calm.get(name) != flooded.get(name)
                  and not (vni == "1" and OF_FLOOD.match(name))]
        require(not differ, f"a flood of session {vni} changes KPIs:\n" + "\n".join(differ))
        require(evicted(metrics) > int(syns) // 2, f"the flood of session {vni} has filled no table")
        told.append(evicted(metrics))
    return f"{len(calm)} series of {flows} connections as without {syns} flows of another session ({told[0]} evicted) " \
           f"and, save counts of flows and packets, of their own ({told[1]})"


if __name__ == "__main__":
    COMMANDS = {"ratios": ratios, "bound": bound, "flood": flood}
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    print(COMMANDS[sys.argv[1]](*sys.argv[2:]))
