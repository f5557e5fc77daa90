"""The views of a set: `keys()`, `values()`, `items()`."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._native import Db


class EntryKeys(KeysView[bytes]):
    """The keys, in the order of their hashes. A key with several values comes once for each."""

    _mapping: Db

    def __repr__(self) -> str:
        return f"<keys of {self._mapping!r}>"


class EntryValues(ValuesView[bytes]):
    """The values, in the order of the hashes of their keys."""

    _mapping: Db

    def __iter__(self) -> Iterator[bytes]:
        return self._mapping._iter_values()

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)

    def __repr__(self) -> str:
        return f"<values of {self._mapping!r}>"


class EntryItems(ItemsView[bytes, bytes]):
    """Pairs of key and value, in the order of the hashes of keys."""

    _mapping: Db

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping._iter_items()

    def __repr__(self) -> str:
        return f"<items of {self._mapping!r}>"
