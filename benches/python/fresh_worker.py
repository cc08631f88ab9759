"""A new process, started by spawn, sums an array. Arguments: the .npy file to take the array from; how the new process gets it:

queue          through a multiprocessing.Queue
shared_memory  copied into a new SharedMemory, which the process attaches
born_shared    it lies in a SharedMemory before, which the process attaches

What is measured begins before the process is started and ends when its answer is here. The process is waited for after that.
"""

import contextlib
import functools
import multiprocessing
import sys
import time
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from peer import serve

spawn = multiprocessing.get_context("spawn")


def sum_from_queue(arrays, totals):
    totals.put(float(arrays.get().sum()))


def sum_of_shared(name, shape, totals):
    memory = SharedMemory(name)
    x = np.ndarray(shape, np.float64, memory.buf)
    totals.put(float(x.sum()))
    del x
    memory.close()


def through_queue(x):
    start = time.perf_counter()
    arrays, totals = spawn.Queue(), spawn.SimpleQueue()
    worker = spawn.Process(target=sum_from_queue, args=(arrays, totals))
    worker.start()
    arrays.put(x)
    total = totals.get()
    seconds = time.perf_counter() - start
    worker.join()
    return seconds, total


@contextlib.contextmanager
def shared(x):
    """A new SharedMemory with a copy of `x`."""
    memory = SharedMemory(create=True, size=x.nbytes)
    try:
        np.ndarray(x.shape, x.dtype, memory.buf)[:] = x
        yield memory
    finally:
        memory.close()
        memory.unlink()


def attached(memory, shape):
    start = time.perf_counter()
    totals = spawn.SimpleQueue()
    worker = spawn.Process(target=sum_of_shared, args=(memory.name, shape, totals))
    worker.start()
    total = totals.get()
    seconds = time.perf_counter() - start
    worker.join()
    return seconds, total


def through_shared_memory(x):
    start = time.perf_counter()
    with shared(x) as memory:
        copying = time.perf_counter() - start
        seconds, total = attached(memory, x.shape)
    return copying + seconds, total


if __name__ == "__main__":
    x = np.load(sys.argv[1])
    match sys.argv[2]:
        case "queue":
            serve(functools.partial(through_queue, x))
        case "shared_memory":
            serve(functools.partial(through_shared_memory, x))
        case "born_shared":
            with shared(x) as memory:
                serve(functools.partial(attached, memory, x.shape))
