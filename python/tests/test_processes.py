"""Threads, children, subinterpreters, and Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sst_files

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_threads_share_a_set(path: Path) -> None:
    sst_files.load(path, {str(key): "0" for key in range(1000)})
    db = sst_files.open(path)
    stopping = threading.Event()

    def look_up(thread: int) -> int:
        rounds = 0
        while not stopping.is_set() or rounds == 0:
            # One call answers from one commit.
            values = db.get_many([str(key) for key in range(0, 1000, 7)])
            assert len(set(values)) == 1 and values[0] is not None
            assert db[str(thread)].isdigit() and "x" not in db
            assert len({value for _, value in db.items()}) == 1
            rounds += 1
        return rounds

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(look_up, thread) for thread in range(5)]
        try:
            for commit in range(1, 8):
                sst_files.load(path, {str(key): str(commit) for key in range(1000)})
                db.refresh()
        finally:
            stopping.set()
        assert all(reader.result() > 0 for reader in readers)
    assert db["7"] == b"7"


def test_threads_share_an_iterator_and_a_writer(path: Path) -> None:
    sst_files.load(path, {str(key): "x" * 100 for key in range(20_000)})
    db = sst_files.open(path)
    keys, batches = iter(db), db.scan(batch_rows=100)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: list(keys), range(4)))
        rows = list(pool.map(lambda _: sum(len(batch) for batch in batches), range(4)))
    assert sorted(key for part in parts for key in part) == sorted(db)
    assert sum(rows) == 20_000
    writer = sst_files.Writer(path)
    with ThreadPoolExecutor(4) as pool:

        def add(number: int) -> bool:
            try:
                writer.add(str(number), "x")
            except sst_files.EntryError:
                return False
            return True

        added = sum(pool.map(add, range(2000)))
    assert writer.finish().entries == added > 0


def test_the_gil_is_released(path: Path) -> None:
    """While a load sorts and writes, another thread of Python goes on."""
    counted = 0
    stopping = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stopping.is_set():
            counted += 1

    class Ends:
        """An iterator that notes when the load has all its records."""

        def __iter__(self) -> Iterator[tuple[int, bytes]]:
            for number in range(100_000):
                yield number, bytes(100)
            self.counted = counted

    data = Ends()
    thread = threading.Thread(target=count)
    thread.start()
    try:
        sst_files.load(path, data)
        after_load = counted
    finally:
        stopping.set()
        thread.join()
    # With the GIL held, the thread would have done nothing between the last record and the end.
    assert after_load > data.counted + 1000


@needs_fork
def test_a_child_opens_the_set_anew(path: Path) -> None:
    sst_files.load(path, {str(key): "x" * 100 for key in range(5000)})
    db = sst_files.open(path)
    iterator = iter(db)
    next(iterator)
    writer = sst_files.Writer(path.parent / "other")
    writer.add("a", "1")
    stopping = threading.Event()

    def look_up() -> None:
        while not stopping.is_set():
            db.get_many(range(5000))

    # Threads hold locks at all times, so a child that used them would hang now and then.
    threads = [threading.Thread(target=look_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(_child(db, iterator, writer))
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    # The child has not removed the files of its parent.
    assert writer.finish().entries == 1
    assert dict(sst_files.open(path.parent / "other")) == {b"a": b"1"}
    assert len(list(iterator)) == 4999


def _child(db: sst_files.Db, iterator: Iterator[bytes], writer: sst_files.Writer) -> int:
    signal.alarm(30)
    assert db["7"] == b"x" * 100 and len(db) == 5000 and len(list(db)) == 5000
    assert not db.refresh()
    for call in (lambda: next(iterator), lambda: writer.add("b", "2"), writer.finish, writer.abandon):
        try:
            call()
        except sst_files.ForkError:
            continue
        return 1
    del writer
    db.close()
    return 0


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing(path: Path, method: str) -> None:
    sst_files.load(path, {str(key): key for key in range(1000)})
    db = sst_files.open(path)
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        values = pool.starmap(_get, [(db, key) for key in range(0, 1000, 100)])
    assert values == [str(key).encode() for key in range(0, 1000, 100)]


def _get(db: sst_files.Db, key: int) -> bytes:
    return db[key]


def test_a_subinterpreter_is_refused() -> None:
    """Only the main interpreter may import the package; another gets an `ImportError`."""
    code = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    import sst_files
    other = interpreters.create()
    source = '''if True:
        try:
            import sst_files
        except ImportError:
            print("refused", flush=True)
    '''
    interpreters.run_string(other, source)
    interpreters.destroy(other)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert "refused" in ended.stdout


INTERRUPTED = """
import signal, sys, sst_files
# A shell that starts a job in the background has it ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
path = sys.argv[1]
data = ((number, bytes(100)) for number in range(10**9))
def tell(progress):
    if progress.entries > 0:
        print("started", flush=True)
try:
    sst_files.load(path, data, memory_budget=8 << 20, progress=tell)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Windows are others")
def test_ctrl_c_ends_a_load(fruit: Path) -> None:
    before = sorted(fruit.iterdir())
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(fruit)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and output.endswith("interrupted\n")
    assert sorted(fruit.iterdir()) == before
    assert len(sst_files.open(fruit)) == 3


def test_a_follower_sees_commits(fruit: Path) -> None:
    db = sst_files.open(fruit)
    seen = threading.Event()
    commits: list[int] = []

    def note(commit: int) -> None:
        commits.append(commit)
        seen.set()

    with db.follow(0.01, on_commit=note) as follower:
        assert follower.is_alive and follower.last_error is None
        sst_files.load(fruit, {"fig": "purple"})
        assert seen.wait(30)
        assert dict(db) == {b"fig": b"purple"} and commits == [db.commit]
    assert not follower.is_alive
    follower.stop()
    for misuse in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(sst_files.UsageError):
            db.follow(misuse)


def test_a_follower_goes_on_after_an_error(fruit: Path) -> None:
    db = sst_files.open(fruit)
    failed = threading.Event()
    current = fruit / "CURRENT"
    content = current.read_bytes()
    with db.follow(0.01, on_error=lambda error: failed.set()) as follower:
        current.unlink()
        assert failed.wait(30) and follower.is_alive
        assert isinstance(follower.last_error, sst_files.SstError)
        assert db["apple"] == b"red"
        current.write_bytes(content)
        sst_files.load(fruit, {"fig": "purple"}, mode="append")
        deadline = time.monotonic() + 30
        while "fig" not in db and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert "fig" in db


def test_a_follower_ends_with_its_set(fruit: Path) -> None:
    db = sst_files.open(fruit)
    follower = db.follow(0.01)
    db.close()
    follower._thread.join(30)
    assert not follower.is_alive
    other = sst_files.open(fruit).follow(0.01)
    other._thread.join(30)
    assert not other.is_alive


CHILDREN = """
import os, sys, sst_files
import pyarrow as pa
path, where = sys.argv[1:]
parent, child = os.getpid(), 0

def fork():
    global child
    if os.getpid() == parent and not child:
        child = os.fork()

def rows():
    for number in range(20_000):
        if number == 5000:
            fork()
        yield str(number), "x" * 100

def batches():
    for number in range(10):
        if number == 5 and os.fork() == 0:
            os._exit(9)
        yield pa.record_batch({"k": [str(number)], "v": ["x"]})

try:
    if where == "generator":
        sst_files.load(path, rows())
    elif where == "stream":
        schema = pa.schema({"k": pa.string(), "v": pa.string()})
        sst_files.load(path, pa.RecordBatchReader.from_batches(schema, batches()))
        _, status = os.wait()
        assert os.waitstatus_to_exitcode(status) == 9
    else:
        sst_files.load(path, [(str(i), "x" * 100) for i in range(20_000)], progress=lambda _: fork())
except sst_files.ForkError:
    # The child: what was under way is its parent's.
    assert os.getpid() != parent
    os._exit(7)
assert os.getpid() == parent
if where != "stream":
    assert child and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(len(sst_files.open(path)))
"""


@needs_fork
@pytest.mark.parametrize("where", ["generator", "progress", "stream"])
def test_a_child_that_is_forked_during_a_load(path: Path, where: str) -> None:
    """It gets an error instead of waiting for threads that it does not have, and its parent's files
    and lock are left alone."""
    command = [sys.executable, "-c", CHILDREN, str(path), where]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ("10\n" if where == "stream" else "20000\n")


LATE = """
import signal, sys, os, threading, sst_files
signal.signal(signal.SIGINT, signal.default_int_handler)
path, phase = sys.argv[1:]
reached = threading.Event()

def interrupt():
    reached.wait()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
tell = lambda progress: progress.phase == phase and reached.set()
data = [(str(number), "x" * 100) for number in range(100_000)]
try:
    sst_files.load(path, data, certify=True, progress=tell)
    print("ended first")
except KeyboardInterrupt as error:
    print("too late" if getattr(error, "__notes__", None) else "stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Windows are others")
@pytest.mark.parametrize("phase", ["write", "certify", "publish"])
def test_ctrl_c_while_a_load_sorts_and_publishes(fruit: Path, phase: str) -> None:
    """Either nothing has changed, or the exception says that it came too late, and the commit is
    whole."""
    before = sorted(fruit.iterdir())
    command = [sys.executable, "-c", LATE, str(fruit), phase]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    outcome = ended.stdout.strip()
    if phase == "write":
        assert outcome == "stopped"
    if outcome == "stopped":
        assert sorted(fruit.iterdir()) == before and len(sst_files.open(fruit)) == 3
    else:
        assert len(sst_files.open(fruit)) == 100_000
    assert sst_files.verify(fruit).is_intact
