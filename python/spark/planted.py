"""Bugs for a copy of `sst_files.spark`, each of which `spark/torture --planted` must catch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import sst_files


@dataclass(frozen=True)
class Bug:
    """Code that is put at the end of a copy of `sst_files/spark/_writer.py`."""

    name: str
    #: The fault that shows it, and in how many jobs at most: some depend on a moment.
    fault: str
    runs: int
    code: str


LOSERS_COUNT = """
import uuid
from pathlib import Path


def named(init):
    def init_and_name(self, options):
        init(self, options)
        self.run = uuid.uuid4()

    return init_and_name


def noted(write):
    def write_and_note(self, iterator):
        message = write(self, iterator)
        with open(f"FOLDER/{self.run}-{uuid.uuid4()}", "wb") as file:
            pickle.dump(message, file)
        return message

    return write_and_note


def of_all(commit):
    def commit_all(self, messages):
        notes = Path("FOLDER").glob(f"{self.run}-*")
        commit(self, [pickle.loads(note.read_bytes()) for note in notes])

    return commit_all


SstWriter.__init__ = named(SstWriter.__init__)
SstWriter.write = noted(SstWriter.write)
SstWriter.commit = of_all(SstWriter.commit)
"""

TIDY_TASK = """
def tidying(write):
    def tidy_and_write(self, iterator):
        from pyspark import TaskContext

        if TaskContext.get().attemptNumber() > 0:
            patiently(_native.spark_end_job, self.options.path, self.job)
        return write(self, iterator)

    return tidy_and_write


SstWriter.write = tidying(SstWriter.write)
"""

NATIVE = """
class Broken:
    def __getattr__(self, name):
        return getattr(native, name)

    CHANGE


native, _native = _native, Broken()
"""

JOB_STAYS = NATIVE.replace(
    "CHANGE",
    """def spark_commit(self, *arguments, job, **options):
        return native.spark_commit(*arguments, job=job ^ 1, **options)""",
)

JOB_FORGOTTEN = NATIVE.replace(
    "CHANGE",
    """def spark_begin_job(self, path, *, job):
        return native.spark_begin_job(path)""",
)

BUGS = [
    Bug("the reports of attempts that lose count, too", "twins", 2, LOSERS_COUNT),
    Bug("a task that runs again tidies up as if it were alone", "raise", 2, TIDY_TASK),
    Bug("a commit does not end its job", "twins", 2, JOB_STAYS),
    Bug("a job that is run again does not know its name", "driver", 10, JOB_FORGOTTEN),
]


def plant(bug: Bug, folder: Path) -> Path:
    """Makes a copy of the package with a bug in it. Returns the folder for `PYTHONPATH`."""
    notes = folder / "notes"
    notes.mkdir(parents=True)
    copy = folder / "sst_files"
    shutil.copytree(Path(sst_files.__file__).parent, copy)
    with open(copy / "spark" / "_writer.py", "a") as file:
        file.write(bug.code.replace("FOLDER", str(notes)))
    return folder
