"""Publishes frames to a process that sums each. Arguments: numbers in a frame; frames for each answer.

A SharedMemory holds the frame, a lock keeps writer and reader apart, and a version says that there is a new one. The reader copies under the
lock and sums the copy. Both look without sleeping: a sleep, or a condition, would cost more than all the rest.
"""

import multiprocessing
import sys
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from peer import serve_timed

spawn = multiprocessing.get_context("spawn")


def sum_frames(name, n, n_frames, turn, lock, version, answered, total):
    memory = SharedMemory(name)
    shared = np.ndarray(n, np.float64, memory.buf)
    frame = np.empty(n)
    seen = 0
    while True:
        if seen % n_frames == 0:
            turn.acquire()
        while (now := version.value) == seen:
            pass
        if now < 0:
            break
        with lock:
            seen = version.value
            frame[:] = shared
        total.value = float(frame.sum())
        answered.value = seen
    del shared
    memory.close()


def main():
    n, n_frames = int(sys.argv[1]), int(sys.argv[2])
    x = np.arange(n) % 1000 * 1.0
    memory = SharedMemory(create=True, size=8 * n)
    try:
        shared = np.ndarray(n, np.float64, memory.buf)
        lock = spawn.Lock()
        # The reader sleeps while it is the other side's turn.
        turn = spawn.Semaphore(0)
        # Raw: a word each, which one side alone writes.
        version, answered = spawn.RawValue("q", 0), spawn.RawValue("q", 0)
        total = spawn.RawValue("d", 0.0)
        reader = spawn.Process(target=sum_frames, args=(memory.name, n, n_frames, turn, lock, version, answered, total))
        reader.start()

        def publish():
            turn.release()
            for _ in range(n_frames):
                with lock:
                    shared[:] = x
                    version.value += 1
                while answered.value != version.value:
                    pass
            return total.value

        serve_timed(publish)
        version.value = -1
        turn.release()
        reader.join()
        del shared
    finally:
        memory.close()
        memory.unlink()


if __name__ == "__main__":
    main()
