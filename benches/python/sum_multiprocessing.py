"""Two workers of multiprocessing.Pool sum one half each of an array in a SharedMemory. Argument: the .npy file to take the array from."""

import sys
from multiprocessing import Pool
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from peer import N_WORKERS, serve_timed


def attach(name, shape):
    global memory, x
    memory = SharedMemory(name)
    x = np.ndarray(shape, np.float64, memory.buf)


def total(rows):
    first, end = rows
    return float(x[first:end].sum())


if __name__ == "__main__":
    source = np.load(sys.argv[1], mmap_mode="r")
    memory = SharedMemory(create=True, size=source.nbytes)
    try:
        np.ndarray(source.shape, source.dtype, memory.buf)[:] = source
        n = len(source)
        parts = [(n * i // N_WORKERS, n * (i + 1) // N_WORKERS) for i in range(N_WORKERS)]
        with Pool(N_WORKERS, attach, (memory.name, source.shape)) as pool:
            serve_timed(lambda: sum(pool.map(total, parts, chunksize=1)), n_before=6)
            pool.close()
            pool.join()
    finally:
        memory.close()
        memory.unlink()
