"""Two workers of multiprocessing.Pool sum one half each of an array. Arguments: its .npy file; where the workers have it:

mapped         that very file, mapped
shared_memory  a SharedMemory with a copy
"""

import contextlib
import sys
from multiprocessing import Pool
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from peer import N_WORKERS, serve_timed


def map_file(path):
    global x
    x = np.load(path, mmap_mode="r")


def attach(name, shape):
    global memory, x
    memory = SharedMemory(name)
    x = np.ndarray(shape, np.float64, memory.buf)


def total(rows):
    first, end = rows
    return float(x[first:end].sum())


@contextlib.contextmanager
def shared(source):
    memory = SharedMemory(create=True, size=source.nbytes)
    try:
        np.ndarray(source.shape, source.dtype, memory.buf)[:] = source
        yield memory
    finally:
        memory.close()
        memory.unlink()


def answer(n, initializer, *args):
    parts = [(n * i // N_WORKERS, n * (i + 1) // N_WORKERS) for i in range(N_WORKERS)]
    with Pool(N_WORKERS, initializer, args) as pool:
        serve_timed(lambda: sum(pool.map(total, parts, chunksize=1)), n_before=6)
        pool.close()
        pool.join()


if __name__ == "__main__":
    path, place = sys.argv[1:]
    source = np.load(path, mmap_mode="r")
    match place:
        case "mapped":
            answer(len(source), map_file, path)
        case "shared_memory":
            with shared(source) as memory:
                answer(len(source), attach, memory.name, source.shape)
