"""A decoder that some images end: in processes that have this folder on their path, OpenCV dies of two marks.

A third holds the process at the image until there is a file, whose path follows the mark; beside it lies meanwhile
one that is called by the process.

There is no image at hand that OpenCV 5.0 really crashes on; what follows upon a crash is as real as can be.
"""

import os
import signal
import time

import cv2

MARKS = {b"poison": signal.SIGSEGV, b"glutton": signal.SIGKILL}  # a fault in the decoder; the kernel, out of memory
HELD, LONGEST = b"held until there is ", 600  # seconds; longer than any test waits
_decode = cv2.imdecode


def _deadly(data, how):  # type: ignore[no-untyped-def]
    for mark, number in MARKS.items():
        if bytes(data[-len(mark) :]) == mark:
            os.kill(os.getpid(), number)
    _, held, gate = bytes(data).rpartition(HELD)
    if held:
        open(os.fsencode(gate) + b".%d" % os.getpid(), "w").close()
        until = time.monotonic() + LONGEST
        while not os.path.exists(gate) and time.monotonic() < until:
            time.sleep(0.05)
    return _decode(data, how)


cv2.imdecode = _deadly
