"""A decoder that some pictures end: in processes that have this folder on their path, OpenCV dies of two marks.

There is no picture at hand that OpenCV 5.0 really crashes on; what follows upon a crash is as real as can be.
"""

import os
import signal

import cv2

MARKS = {b"poison": signal.SIGSEGV, b"glutton": signal.SIGKILL}  # a fault in the decoder; the kernel, out of memory
_decode = cv2.imdecode


def _deadly(data, how):  # type: ignore[no-untyped-def]
    for mark, number in MARKS.items():
        if bytes(data[-len(mark) :]) == mark:
            os.kill(os.getpid(), number)
    return _decode(data, how)


cv2.imdecode = _deadly
