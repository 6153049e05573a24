#!/usr/bin/env python3
"""screen: runs a command on a terminal of its own and does and tells what standard input asks for.

Usage: screen.py COMMAND... Each line of input is one step; a step that fails ends it with exit code 1.

SCREEN_TERM is the TERM of the command (linux).

  size COLUMNS LINES   the window changes; before the first show it is 100 x 24
  key TEXT             types it; up, down, pgup, pgdn and home are those keys
  wait SECONDS REGEX   until some line of the screen matches
  gone SECONDS REGEX   until none does
  show                 prints the screen
  signal NAME          to the command
  exit SECONDS         waits for its end and prints "exit CODE", negative for a signal, if the
                       terminal has its modes and cursor again; then what is left on it"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, also for another python3

import pyte  # noqa: E402

KEYS = {"up": "\x1bOA", "down": "\x1bOB", "pgup": "\x1b[5~", "pgdn": "\x1b[6~", "home": "\x1bOH"}


class Terminal:
    def __init__(self, command):
        self.ours, self.theirs = pty.openpty()
        self.resize(100, 24)
        self.modes = termios.tcgetattr(self.theirs)
        self.screen = pyte.Screen(100, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.process = subprocess.Popen(command, stdin=self.theirs, stdout=self.theirs, stderr=self.theirs,
                                        start_new_session=True, preexec_fn=self.take,
                                        env={**os.environ, "TERM": os.environ.get("SCREEN_TERM", "linux")})

    def take(self):
        fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)

    def resize(self, columns, lines):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.ours], [], [], seconds)[0]:
            data = os.read(self.ours, 65536)
            self.raw += data
            self.stream.feed(data)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def until(self, seconds, condition):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.read(0.1)
        return True

    def matches(self, regex):
        return any(re.search(regex, line) for line in self.lines())

    def restored(self):
        if termios.tcgetattr(self.theirs) != self.modes:
            return "its modes are not what they were"
        if self.screen.cursor.hidden:
            return "its cursor is hidden"
        return None


def die(terminal, text):
    print("\n".join(terminal.lines()))
    print(f"screen: {text}")
    if terminal.process.poll() is None:
        terminal.process.kill()
    sys.exit(1)


def step(terminal, words):
    name, rest = words[0], words[1:]
    if name == "size":
        columns, lines = map(int, rest)
        terminal.screen.resize(lines, columns)
        terminal.resize(columns, lines)
    elif name == "key":
        os.write(terminal.ours, KEYS.get(rest[0], rest[0]).encode())
    elif name in ("wait", "gone"):
        regex = " ".join(rest[1:])
        if not terminal.until(float(rest[0]), lambda: terminal.matches(regex) == (name == "wait")):
            die(terminal, f"'{regex}' has not {'come' if name == 'wait' else 'gone'}")
    elif name == "show":
        while select.select([terminal.ours], [], [], 0.2)[0]:
            terminal.read(0)
        print("\n".join(terminal.lines()))
    elif name == "signal":
        terminal.process.send_signal(getattr(signal, "SIG" + rest[0]))
    elif name == "exit":
        if not terminal.until(float(rest[0]), lambda: terminal.process.poll() is not None):
            die(terminal, "it does not end")
        terminal.until(0.3, lambda: False)
        if terminal.restored():
            die(terminal, terminal.restored())
        print(f"exit {terminal.process.returncode}")
        print("\n".join(line for line in terminal.lines() if line))
    else:
        die(terminal, f"{name} is no step")


def main():
    terminal = Terminal(sys.argv[1:])
    for line in sys.stdin:
        if line.strip():
            step(terminal, line.split())
    if terminal.process.poll() is None:
        terminal.process.kill()


if __name__ == "__main__":
    main()
