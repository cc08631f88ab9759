"""A process that runs already sums an array that is new to it. Arguments: the .npy file to take the array from; how it gets there:

queue          through a multiprocessing.Queue
shared_memory  copied into a SharedMemory that both have kept from the time before

What is measured begins with the array in the memory of this process and ends when the answer is here.
"""

import multiprocessing
import sys
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from peer import serve_timed

spawn = multiprocessing.get_context("spawn")


def sum_from_queue(arrays, totals):
    while (x := arrays.get()) is not None:
        totals.put(float(x.sum()))


def sum_of_shared(name, shape, requests, totals):
    memory = SharedMemory(name)
    x = np.ndarray(shape, np.float64, memory.buf)
    while requests.get() is not None:
        totals.put(float(x.sum()))
    del x
    memory.close()


def through_queue(x):
    arrays, totals = spawn.Queue(), spawn.SimpleQueue()
    worker = spawn.Process(target=sum_from_queue, args=(arrays, totals))
    worker.start()

    def total():
        arrays.put(x)
        return totals.get()

    serve_timed(total)
    arrays.put(None)
    worker.join()


def through_shared_memory(x):
    memory = SharedMemory(create=True, size=x.nbytes)
    try:
        copy = np.ndarray(x.shape, x.dtype, memory.buf)
        requests, totals = spawn.SimpleQueue(), spawn.SimpleQueue()
        worker = spawn.Process(target=sum_of_shared, args=(memory.name, x.shape, requests, totals))
        worker.start()

        def total():
            copy[:] = x
            requests.put("sum")
            return totals.get()

        serve_timed(total)
        requests.put(None)
        worker.join()
        del copy
    finally:
        memory.close()
        memory.unlink()


if __name__ == "__main__":
    x = np.load(sys.argv[1])
    {"queue": through_queue, "shared_memory": through_shared_memory}[sys.argv[2]](x)
