"""Print the terminal's size at the start and at every SIGWINCH: `SIZE COLSxROWS`.

It waits for the signal itself: one that comes right before a sleep would run its handler after the sleep.
"""

import os
import signal

signal.signal(signal.SIGWINCH, lambda *_: None)  # what is ignored, as by default, is not kept for a wait either
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
os.write(1, b"READY\r\n")
while True:
    size = os.get_terminal_size(0)
    os.write(1, b"SIZE %dx%d\r\n" % (size.columns, size.lines))
    signal.sigwait([signal.SIGWINCH])
