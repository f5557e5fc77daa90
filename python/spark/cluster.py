"""A standalone cluster of Spark on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pyspark

PORT = 17077


class Cluster:
    """One master and two workers, on two addresses, so that Spark takes them for two machines."""

    def __init__(self, folder: Path, cores: int = 2) -> None:
        self.folder = folder
        self.cores = cores
        self.url = f"spark://127.0.0.1:{PORT}"
        self.processes = [self.start("master.Master", "--host", "127.0.0.1", "--port", str(PORT))]
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
