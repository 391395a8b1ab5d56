"""Print the terminal's size at the start and at every SIGWINCH: `SIZE COLSxROWS`."""

import os
import signal
import time


def show(*_):
    """Print the size."""
    size = os.get_terminal_size(0)
    os.write(1, b"SIZE %dx%d\r\n" % (size.columns, size.lines))


signal.signal(signal.SIGWINCH, show)
os.write(1, b"READY\r\n")
show()
while True:
    time.sleep(1000)
