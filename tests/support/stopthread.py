#!/usr/bin/env python3
"""stopthread: stops one thread of a process tree for some seconds; the others run on.

Usage: stopthread.py PID THREAD_NAME SECONDS    (PID or a descendant of it has the thread)

By ptrace: SIGSTOP would stop the whole process."""

import ctypes
import os
import sys
import time
from pathlib import Path

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # wait for threads of any kind (waitpid(2), __WALL)

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid):
    if libc.ptrace(request, tid, None, None) < 0:
        sys.exit(f"stopthread: ptrace {request:#x}: {os.strerror(ctypes.get_errno())}")


def tree(pid):
    """pid and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def find(pid, name):
    for process in tree(pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
    return sys.exit(f"stopthread: process {pid} has no thread {name}")


def main():
    tid = find(int(sys.argv[1]), sys.argv[2])
    ptrace(PTRACE_SEIZE, tid)
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    time.sleep(float(sys.argv[3]))
    ptrace(PTRACE_DETACH, tid)


if __name__ == "__main__":
    main()
