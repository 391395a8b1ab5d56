"""Ask the terminal questions and record its answers: asker.py FILE QUESTION… (each in hexadecimal)

Each question is written whole, then once more byte by byte. FILE gets JSON: for every asking the answer in hexadecimal
and the milliseconds it took, and what came when nothing was due any more.
"""

import json
import os
import select
import sys
import time
import tty


def receive(seconds):
    """Return what comes within a time."""
    return os.read(0, 4096) if select.select([0], [], [], seconds)[0] else b""


def ask(question, pieces):
    """Return (answer, milliseconds): what comes until DSR 5, asked at the end, is answered too, is the answer."""
    for piece in pieces:
        os.write(1, piece)
        if len(pieces) > 1:
            time.sleep(0.001)
    begun, answer = time.monotonic(), b""
    while not answer and time.monotonic() - begun < 60.0:
        answer += receive(0.1)
    millis = (time.monotonic() - begun) * 1000
    os.write(1, b"\x1b[5n")
    end = time.monotonic() + 60.0
    while not answer.endswith(b"\x1b[0n") and time.monotonic() < end:
        answer += receive(0.1)
    return {"question": question.hex(), "answer": answer[:-4].hex(), "ms": millis, "end": answer[-4:].hex()}


tty.setraw(0)
os.write(1, b"READY\r\n")
while b"g" not in receive(1.0):
    pass
found = []
for text in sys.argv[2:]:
    question = bytes.fromhex(text)
    found.append(ask(question, [question]))
    found.append(ask(question, [question[i : i + 1] for i in range(len(question))]))
late, quiet = b"", time.monotonic() + 0.3
while time.monotonic() < quiet:
    late += receive(0.05)
with open(sys.argv[1] + ".new", "w") as file:
    json.dump({"asked": found, "late": late.hex()}, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
os.write(1, b"\r\nASKED\r\n")
receive(1000)
