"""What becomes of a job if one of its workers is killed in the middle of it?

Two workers have eight calls of 0.3 s. The one that runs the fourth sends itself SIGKILL, the first time. Each peer is
tried in processes of its own, which are killed if nothing has happened after 10 s. Then a second job of the same size is
given to the same pool, without a kill.

    benches/python/setup.sh --peers && target/benches-python/bin/python benches/python/after_a_kill.py [PEER…]
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer import N_WORKERS, say

N_CALLS = 8
DEADLY_CALL = 3
CALL_SECONDS = 0.3
LIMIT_SECONDS = 10


def square(i, mark):
    """The square, after a while; the deadly call has its process killed, unless somebody else has done that before."""
    time.sleep(CALL_SECONDS / 2)
    if i == DEADLY_CALL and mark:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(CALL_SECONDS / 2)
    return i * i


# Each starts a peer and yields what runs a job there: a function of the marks of all calls.


def pool_job():
    from multiprocessing import Pool

    with Pool(N_WORKERS) as pool:
        yield lambda marks: pool.starmap(square, enumerate(marks), chunksize=1)


def executor_job():
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(N_WORKERS) as executor:
        yield lambda marks: list(executor.map(square, range(N_CALLS), marks))


def joblib_job():
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    with Parallel(n_jobs=N_WORKERS, batch_size=1) as parallel:
        yield lambda marks: parallel(delayed(square)(i, mark) for i, mark in enumerate(marks))
    get_reusable_executor().shutdown()


def mpire_job():
    from mpire import WorkerPool

    with WorkerPool(n_jobs=N_WORKERS, keep_alive=True) as pool:
        yield lambda marks: pool.map(square, list(enumerate(marks)), chunk_size=1)


def ray_job():
    from ray_alone import cluster

    with cluster() as ray:
        task = ray.remote(square)
        yield lambda marks: ray.get([task.remote(i, mark) for i, mark in enumerate(marks)])


PEERS = {
    "multiprocessing.Pool": (None, pool_job),
    "ProcessPoolExecutor": (None, executor_job),
    "joblib": ("joblib", joblib_job),
    "mpire": ("mpire", mpire_job),
    "ray": ("ray", ray_job),
}


def outcome(job, mark):
    """What a job gives, in words, and how long that takes."""
    start = time.perf_counter()
    try:
        found = job([mark] * N_CALLS)
        said = "all results right" if found == [i * i for i in range(N_CALLS)] else f"WRONG RESULTS {found}"
    except Exception as error:
        said = f"raises {type(error).__name__}"
    return said, time.perf_counter() - start


def try_here(name):
    """Says a line after each of the two jobs."""
    if name == "ray":
        from ray_alone import start_over_alone

        start_over_alone()
    with contextlib.contextmanager(PEERS[name][1])() as job:
        job([""] * N_CALLS)  # warm
        say(ready=True)
        with tempfile.TemporaryDirectory() as directory:
            for mark in (str(Path(directory, "killed")), ""):
                what, seconds = outcome(job, mark)
                say(what=what, seconds=seconds)


def try_aside(name):
    """The lines that a process of its own says within the limit for each."""
    with tempfile.TemporaryDirectory() as temporary:
        child = subprocess.Popen(
            [sys.executable, __file__, "--here", name],
            env=os.environ | {"TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        lines = []
        try:
            lines = list(lines_of(child))
        finally:
            # Whoever hangs is killed with what it has started; the leader was not waited for, so the number is its own.
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            child.stdout.close()
    return lines


def lines_of(child):
    """Lines as they come, until none comes for a while."""
    import selectors

    selector = selectors.DefaultSelector()
    selector.register(child.stdout, selectors.EVENT_READ)
    os.set_blocking(child.stdout.fileno(), False)
    pending, n_lines = b"", 0
    # The first line comes once the peer has started, which takes the slowest some seconds.
    while selector.select(LIMIT_SECONDS if n_lines else 6 * LIMIT_SECONDS):
        if not (read := os.read(child.stdout.fileno(), 65536)):
            return
        *lines, pending = (pending + read).split(b"\n")
        for line in lines:
            # Ray prints, too.
            if line.startswith(b"{"):
                n_lines += 1
                yield json.loads(line)


def in_words(lines, i):
    if len(lines) > i + 1:
        return f"{lines[i + 1]['what']}, {lines[i + 1]['seconds']:.1f} s"
    return f"hangs (killed after {LIMIT_SECONDS} s)" if len(lines) == i + 1 else "not reached"


def row(name):
    module = PEERS[name][0]
    if module and importlib.util.find_spec(module) is None:
        return f"{name} is not installed: benches/python/setup.sh --peers", ""
    lines = try_aside(name)
    if lines and "skipped" in lines[0]:
        return lines[0]["skipped"], ""
    return in_words(lines, 0), in_words(lines, 1)


def main():
    print(f"| peer | the job with the kill | the next job, {N_CALLS * CALL_SECONDS / N_WORKERS:.1f} s of work |\n|---|---|---|")
    for name in sys.argv[1:] or PEERS:
        module = PEERS[name][0]
        version = platform.python_version() if not module else importlib.metadata.version(module)
        print(f"| {name} ({'Python ' if not module else ''}{version})", *row(name), sep=" | ", end=" |\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        try_here(sys.argv[2])
    else:
        main()
