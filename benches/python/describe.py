"""Computes mean, std and max of the .npy file at argv[1], once for each line on stdin.

Prints mean, std, max and the seconds that they took.
"""

import sys
import time

import numpy as np

x = np.load(sys.argv[1], mmap_mode="r")
for _ in sys.stdin:
    start = time.perf_counter()
    mean, std, largest = x.mean(), x.std(), x.max()
    seconds = time.perf_counter() - start
    print(float(mean), float(std), float(largest), seconds, flush=True)
