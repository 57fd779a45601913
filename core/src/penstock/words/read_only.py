"""Records that plugins are given, and can only read: what one plugin writes by mistake would be everybody's.

Of some a new one is made for each task, and a frozen record of attrs takes 2.7 times as long to make as one that can be
written (545 and 200 ns, with seven fields). So those are made as a *draft*, an object of a class that adds nothing but
that it can be written, and become the record when they are whole: 227 ns.

    def __new__(cls, …):
        made: Any = new(draft)       # draft = draft_of(TheRecord)
        made.field = field
        made.__class__ = cls
        return made

Others are structs of msgspec, which are made in one step, and look at what they are made of (`__post_init__`). Where
that has been looked at before, as an outcome's verdict has, the record is made as a draft that is `unchecked`.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeVar

import attrs

from penstock.words.errors import PenstockError

__all__ = ["ReadOnlyError", "become", "draft_of", "fixed", "new", "read_only", "unchecked", "writer"]

T = TypeVar("T")

new: Final = object.__new__
become: Final[Any] = vars(object)["__class__"].__set__
"""Makes the record that is meant, the second argument, of a draft of it."""


class ReadOnlyError(PenstockError, AttributeError):
    """An attempt to write a record that others have too."""

    def __init__(self, record: object, name: str) -> None:
        kind = next(k.__name__ for k in type(record).__mro__ if not k.__name__.startswith("_Fixed"))
        super().__init__(f"{kind}.{name} can be read, not written: others are given the same object")


def _refuse(self: object, name: str, _: object = None) -> NoReturn:
    raise ReadOnlyError(self, name)


def _made_of(self: Any) -> tuple[tuple[()], dict[str, Any]]:
    return (), {each.name: getattr(self, each.name) for each in attrs.fields(type(self)) if each.init}


def read_only(cls: type[T]) -> type[T]:
    """The same class, whose objects cannot be written. One of attrs that has a `__new__` is made by that alone."""
    kind: Any = cls
    kind.__setattr__ = kind.__delattr__ = _refuse
    if attrs.has(cls) and "__new__" in vars(cls):
        del kind.__init__  # that of attrs, which says to type checkers what the record is made of
        kind.__getnewargs_ex__ = _made_of  # by which it can be copied
    return cls


def draft_of(cls: type[T]) -> type[T]:
    """A class that adds nothing to `cls` but that its objects can be written: `cls` has slots."""
    writable = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, (cls,), writable)


def unchecked(cls: type[T]) -> type[T]:
    """A class that adds nothing to `cls`, a struct, but that nothing looks at what its objects are made of."""
    kind: Any = type(cls)
    draft: type[T] = kind(cls.__name__, (cls,), {"__post_init__": id})  # in C, and does nothing
    return draft


def writer(cls: type[Any], name: str) -> Any:
    """A function that sets one field of a record of `cls`: for its owner alone."""
    return vars(cls)[name].__set__


def _refuse_any(self: object, *_: Any, **__: Any) -> NoReturn:
    raise ReadOnlyError(self, "contents")


class _FixedDict(dict[Any, Any]):
    """A dictionary that is as it was made, for whoever reads JSON or dictionaries alone."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        return dict, (dict(self),)


class _FixedList(list[Any]):
    __slots__ = ()

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


for _kind, _names in (
    (_FixedDict, ("clear", "pop", "popitem", "setdefault", "update", "__ior__")),
    (_FixedList, ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort", "__iadd__", "__imul__")),
):
    for _name in (*_names, "__setitem__", "__delitem__"):
        setattr(_kind, _name, _refuse_any)


def fixed(value: Any) -> Any:
    """The same dictionaries and lists, all the way down, as ones that cannot be changed; anything else as it is.

    >>> fixed({"waiting": [1, 2]})["waiting"].append(3)
    Traceback (most recent call last):
    ...
    penstock.words.read_only.ReadOnlyError: list.contents can be read, not written: others are given the same object
    """
    if isinstance(value, dict):
        return _FixedDict({key: fixed(each) if isinstance(each, dict | list) else each for key, each in value.items()})
    return _FixedList(map(fixed, value)) if isinstance(value, list) else value
