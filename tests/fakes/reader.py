"""Read a terminal in raw mode and record every byte: reader.py FILE [--paste] [--hold] [--slow] [--echo] [--pause N]

FILE gets the bytes, FILE.reads a line `time size` per read. `--paste`: bracketed paste on. `--hold`: nothing is read
before SIGUSR1. `--slow`: small reads with a moment between them. `--pause N`: a second's rest after N bytes.
`--echo`: what is read is shown.
"""

import os
import signal
import sys
import time
import tty

path, options = sys.argv[1], sys.argv[2:]
go = []
signal.signal(signal.SIGUSR1, lambda *_: go.append(1))
tty.setraw(0)
out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
reads = os.open(path + ".reads", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(1, (b"\x1b[?2004h" if "--paste" in options else b"") + b"READY %d\r\n" % os.getpid())
while "--hold" in options and not go:
    time.sleep(0.01)
rest = int(options[options.index("--pause") + 1]) if "--pause" in options else 0
seen = 0
while True:
    data = os.read(0, 700 if "--slow" in options else 65536)
    now = time.monotonic()  # before anybody can see that it was read
    if not data:
        break
    os.write(out, data)
    if "--echo" in options:
        os.write(1, data.replace(b"\x1b[200~", b"").replace(b"\x1b[201~", b"").replace(b"\n", b"\r\n"))
    os.write(reads, b"%f %d\n" % (now, len(data)))
    if seen < rest <= seen + len(data):
        time.sleep(1.0)
    seen += len(data)
    if "--slow" in options:
        time.sleep(0.0005)
