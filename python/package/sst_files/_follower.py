"""A thread that keeps a set at the newest commit."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from ._errors import ClosedError, UsageError

if TYPE_CHECKING:
    from ._native import Db


class Follower:
    """Refreshes a set every `interval` seconds: `Db.follow` makes it.

    It ends with `stop`, at the end of its `with` block, when the set is closed, and when the set is
    garbage. In a child that is forked there is no such thread: call `follow` there again.
    """

    def __init__(
        self,
        db: Db,
        interval: float = 1.0,
        on_commit: Callable[[int], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        if not 0 < interval <= threading.TIMEOUT_MAX:
            raise UsageError(f"interval={interval} is no number of seconds")
        if db.closed:
            raise ClosedError("this set is closed")
        self._db = weakref.ref(db)
        self._interval = interval
        self._on_commit = on_commit
        self._on_error = on_error
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sst-follower", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            db = self._db()
            if db is None or db.closed:
                return
            try:
                changed = db.refresh()
                self._error = None
                if changed and self._on_commit is not None:
                    self._on_commit(db.commit)
            except ClosedError:
                return
            except Exception as error:
                self._error = error
                if self._on_error is not None:
                    self._on_error(error)
            finally:
                del db

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def last_error(self) -> Exception | None:
        """The error of the last refresh; `None` if it has succeeded."""
        return self._error

    def stop(self) -> None:
        """Ends the thread, and waits for its end. Stopping twice is no error."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
