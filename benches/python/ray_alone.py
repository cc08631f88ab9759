"""Ray on this machine alone.

Ray's servers listen on all of a machine's addresses. Here they run in a network of their own, which has nothing but a
loopback device. What Ray writes, its key too, goes to a temporary directory that is removed.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import struct
import subprocess
import sys
import tempfile

from peer import N_WORKERS, say

ALONE = ["unshare", "--user", "--map-root-user", "--net"]
MARK = "NDPOOL_BENCHES_IN_OWN_NETWORK"


def into_own_network():
    """Starts this program over in a network of its own, once. Where that is forbidden, says so and ends it."""
    if os.environ.get(MARK) == str(os.getpid()):
        loopback_up()
        return
    trial = subprocess.run([*ALONE, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if trial.returncode:
        say(skipped=f"Ray would listen on all addresses, and may have no network of its own: {trial.stderr.strip()}")
        sys.exit(0)
    os.environ[MARK] = str(os.getpid())
    os.execvp(ALONE[0], [*ALONE, sys.executable, *sys.argv])


def loopback_up():
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", b"lo", iff_up))


@contextlib.contextmanager
def cluster(object_store_bytes=100_000_000):
    """Ray with two workers, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="ray") as directory:
        token = os.path.join(directory, "token")
        with open(os.open(token, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token, RAY_USAGE_STATS_ENABLED="0")
        import ray  # reads the variables above

        ray.init(
            num_cpus=N_WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=object_store_bytes,
            _temp_dir=directory,
        )
        try:
            yield ray
        finally:
            ray.shutdown()
