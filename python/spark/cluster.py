"""A standalone cluster of Spark on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pyspark

START_SECONDS = 300.0


def free_port() -> int:
    """A port that nothing listens on: clusters of several runs may be there at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether the master takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Cluster:
    """One master and two workers, on two addresses, so that Spark takes them for two machines."""

    def __init__(self, folder: Path, cores: int = 2) -> None:
        self.folder = folder
        self.cores = cores
        port = free_port()
        self.url = f"spark://127.0.0.1:{port}"
        self.processes = [self.start("master.Master", "--host", "127.0.0.1", "--port", str(port))]
        # A driver gives up after a minute, and a busy machine takes long to start the master.
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(port):
            if time.monotonic() > deadline or self.processes[0].poll() is not None:
                raise SystemExit(f"the master does not start: see {folder}/master.Master.log")
            time.sleep(0.1)
        for host in ("127.0.0.1", "127.0.0.2"):
            work = folder / f"work-{host}"
            self.start_worker(host, work)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [Path(pyspark.__file__).parent / "bin" / "spark-class"]
        command += [f"org.apache.spark.deploy.{name}", *arguments]
        environment = os.environ | {"SPARK_NO_DAEMONIZE": "1"}
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def start_worker(self, host: str, work: Path) -> None:
        limits = ["--cores", str(self.cores), "--memory", "2g"]
        arguments = ["--host", host, *limits, "--work-dir", str(work)]
        self.processes.append(self.start("worker.Worker", *arguments, self.url))

    def stop(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
