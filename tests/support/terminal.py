#!/usr/bin/env python3
"""terminal: runs a command with standard error on a terminal of 80 columns, standard output in /dev/null.

Usage: terminal.py COMMAND... Prints what a person would have seen, and exits as the command did:

  seconds S      how long it took
  first S        until the line of progress was first drawn; - if never
  draws N        how often it was
  line TEXT      as it stood last
  screen TEXT    one for each line that is left at the end"""

import os
import pty
import re
import subprocess
import sys
import time

DRAWN = re.compile(r"^(reading|reading indexes|wrapping|sending): ")


class Screen:
    """What a terminal makes of text, carriage returns and line feeds."""

    def __init__(self):
        self.lines, self.column = [""], 0

    def put(self, text):
        for c in text:
            if c == "\r":
                self.column = 0
            elif c == "\n":
                self.lines.append("")
            else:
                line = self.lines[-1].ljust(self.column)
                self.lines[-1] = line[:self.column] + c + line[self.column + 1:]
                self.column += 1


def watch(stream, start):
    screen, drawn = Screen(), []
    while True:
        try:
            data = os.read(stream, 65536)
        except OSError:  # EIO: the command has closed its end
            return screen, drawn
        if not data:
            return screen, drawn
        for part in re.split(r"(?=\r)", data.decode()):
            screen.put(part)
            if DRAWN.match(part.strip()):
                drawn.append((time.monotonic() - start, part.strip()))


def main():
    ours, theirs = pty.openpty()
    start = time.monotonic()
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=theirs) as process:
        os.close(theirs)
        screen, drawn = watch(ours, start)
    print(f"seconds {time.monotonic() - start:.2f}")
    print(f"first {drawn[0][0]:.2f}" if drawn else "first -")
    print(f"draws {len(drawn)}")
    print(f"line {drawn[-1][1] if drawn else ''}")
    for line in screen.lines:
        if line.strip():
            print(f"screen {line.rstrip()}")
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
