"""Strict conversion of plain tables to typed records, with every problem at once.

cattrs knows which type is built how; its conversions are taken out and replaced by checks. As it comes, it turns
`"false"` into True and `"strict-fair"` into a list of letters, and its errors name classes, not keys. Here a value fits
its type or is reported with its dotted path: an unknown key with the key that was probably meant, a missing one, a
wrong type, and whatever an attrs validator objects to. The only liberty is that a whole number may stand for a float.

Types that a configuration may use: bool, int, float, str, Path, datetime, date, time, enums, Literal, attrs
classes, lists, tuples, sets, dicts with text keys, unions of these, `T | None`, and `object` for what is
checked elsewhere. A list or a tuple or a set is written as an array, an enum by its value.

A field whose key is no name in Python has it in its metadata, `attrs.field(metadata={"key": "from"})`. A class with a
class method `from_text` may be written as text too; that method raises `ValueError` with what would be right.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Never, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
import cattrs

from penstock.config.words import is_list_type, is_mapping_type, is_secret, type_in_words, unknown, value_in_words
from penstock.words.errors import ConfigError, PenstockError
from penstock.words.problems import PathParts, Problem

__all__ = ["field_types", "key_of", "structure"]

T = TypeVar("T")
_Hook = Callable[[Any, Any], Any]


def structure(data: object, cls: type[T] | Any, *, source: str = "<mapping>", path: PathParts = ()) -> T:
    """A `cls` built from plain data, as TOML gives it.

    `source` is the file's name and `path` where in the file `data` stands; both are put before each problem. Raises
    `ConfigError` with all problems, and `TypeError` if `cls` has a field of a type that no TOML value could fit.

    >>> @attrs.frozen
    ... class Quiet:
    ...     start: int
    ...     days: list[str] = attrs.field(factory=list)
    >>> structure({"start": 22}, Quiet)
    Quiet(start=22, days=[])
    >>> structure({"start": "22", "day": "sun"}, Quiet, source="run.toml", path=("plugins", "quiet"))
    Traceback (most recent call last):
        ...
    penstock.words.errors.ConfigError: run.toml: plugins.quiet.day: unknown key; did you mean 'days'?
    run.toml: plugins.quiet.start: must be a whole number, not "22"
    """
    try:
        return cast("T", _build(data, cls))
    except _Misfit as misfit:
        raise ConfigError([found.problem(path, source) for found in misfit.found]) from None


_UNSAID: Final = object()


@attrs.frozen
class _Finding:
    """A problem with its path below the value that was looked at, and not yet in words, since whether a
    value may be shown depends on all keys above it.

    `given` is what stands there instead; `quoted` is what a validator's own words may show.
    """

    path: PathParts
    what: str
    given: object = _UNSAID
    quoted: object = None
    hint: str = ""

    def problem(self, above: PathParts, source: str) -> Problem:
        path = (*above, *self.path)
        what = self.what if self.given is _UNSAID else f"{self.what}, not {value_in_words(self.given, path)}"
        for text in _texts(self.quoted):
            if text and is_secret(text, path):
                shown = value_in_words(text, path)
                what = what.replace(repr(text), shown).replace(text, shown)
        return Problem(path, what + self.hint, source)

    def below(self, key: str | int) -> _Finding:
        return attrs.evolve(self, path=(key, *self.path))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for each in value for text in _texts(each))
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))


class _Misfit(Exception):
    """A value that does not fit its type, with what was found."""

    def __init__(self, *found: _Finding) -> None:
        self.found = found


class _Findings:
    """The findings below several keys, collected so that one problem does not hide the next."""

    def __init__(self) -> None:
        self.found: list[_Finding] = []

    def build(self, key: str | int, value: object, wanted: Any) -> Any:
        try:
            return _build(value, wanted)
        except _Misfit as misfit:
            self.found += [found.below(key) for found in misfit.found]
            return None

    def met(self, key: str | int) -> bool:
        return any(found.path[:1] == (key,) for found in self.found)

    def raise_any(self) -> None:
        if self.found:
            raise _Misfit(*self.found)


def _wrong(wanted: Any, value: object, hint: str = "") -> Never:
    raise _Misfit(_Finding((), f"must be {type_in_words(wanted)}", value, hint=hint))


def _build(value: object, wanted: Any) -> Any:
    return _converter.get_structure_hook(wanted)(value, wanted)


def _scalar(value: object, wanted: type) -> object:
    if issubclass(wanted, enum.Enum):
        for member in wanted:
            if type(member.value) is type(value) and member.value == value:
                return member
        _wrong(wanted, value)
    if wanted is Path and isinstance(value, str | Path):
        return Path(value)
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise _Misfit(_Finding((), "must be a number between -1.8e308 and 1.8e308", value)) from None
    if wanted is date and isinstance(value, datetime):
        _wrong(wanted, value)
    fits = isinstance(value, wanted) and not (isinstance(value, bool) and wanted is not bool)
    return value if fits else _wrong(wanted, value)


def _literal(value: object, wanted: Any) -> object:
    for choice in get_args(wanted):
        if type(choice) is type(value) and choice == value:
            return value
    _wrong(wanted, value)


def _union(value: object, wanted: Any) -> object:
    members = [member for member in get_args(wanted) if member is not NoneType]
    if value is None and len(members) < len(get_args(wanted)):
        return None
    if len(members) == 1:
        return _build(value, members[0])
    fitting = [member for member in members if _has_the_shape(value, member)]
    if len(fitting) == 1:  # then each problem inside can be reported at its place
        return _build(value, fitting[0])
    # An exact type goes before a float that a whole number may stand for.
    for member in sorted(members, key=lambda member: member is float):
        try:
            return _build(value, member)
        except _Misfit:
            continue
    _wrong(wanted, value)


def _has_the_shape(value: object, wanted: Any) -> bool:
    """Whether a value of this type is written as this one is: as a table, as an array, or as a plain value."""
    if isinstance(value, Mapping):
        return _is_table(wanted) or _is_record(wanted)
    if isinstance(value, list | tuple):
        return _is_array(wanted)
    return isinstance(value, str) and _is_record(wanted) and hasattr(wanted, "from_text")


def _array(value: object, wanted: Any) -> object:
    if not isinstance(value, list | tuple):
        hint = "; put it into brackets" if isinstance(value, str) else ""
        _wrong(wanted, value, hint)
    origin, args = get_origin(wanted) or wanted, get_args(wanted)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise _Misfit(_Finding((), f"must be {type_in_words(wanted)}, not one of {len(value)}"))
        types: Sequence[Any] = args
    else:
        types = [args[0] if args else object] * len(value)
    findings = _Findings()
    items = [findings.build(at, item, kind) for at, (item, kind) in enumerate(zip(value, types, strict=True))]
    findings.raise_any()
    return cast("Callable[[Iterable[object]], object]", origin)(items) if origin in _BUILT_OF else items


_BUILT_OF: Final = (tuple, set, frozenset)


def _table(value: object, wanted: Any) -> object:
    if not isinstance(value, Mapping):
        _wrong(wanted, value)
    args = get_args(wanted)
    findings = _Findings()
    items: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(key, str):
            items[key] = findings.build(key, item, args[1] if args else object)
        else:
            findings.found.append(_Finding((str(key),), "keys must be text"))
    findings.raise_any()
    return items


def _record(value: object, cls: type[Any]) -> object:
    if isinstance(value, str) and hasattr(cls, "from_text"):
        try:
            return cls.from_text(value)
        except ValueError as error:
            raise _Misfit(_Finding((), _words(error), quoted=value)) from None
    if not isinstance(value, Mapping):
        _wrong(cls, value)
    fields = {key_of(field): field for field in attrs.fields(cls) if field.init}
    types = field_types(cls)
    findings = _Findings()
    given: dict[str, Any] = {}
    for key in value:
        if key not in fields:
            findings.found.append(_Finding(*unknown("key", str(key), fields)))
    for key, field in fields.items():
        if key in value:
            given[key] = findings.build(key, value[key], types[field.name])
        elif field.default is attrs.NOTHING:
            findings.found.append(_Finding((key,), f"is missing; it must be {type_in_words(types[field.name])}"))
    if findings.found:
        findings.found += _objections(cls, given, {key for key in fields if findings.met(key)})
        findings.raise_any()
    try:
        return cls(**{fields[key].alias or fields[key].name: value for key, value in given.items()})
    except (ValueError, TypeError, PenstockError) as error:
        raise _Misfit(*(_objections(cls, given, set()) or _as_findings(error))) from error


def key_of(field: attrs.Attribute[Any]) -> str:
    """The key that a file has for this field: its own name, or what its metadata say where Python has no such name."""
    key: str = field.metadata.get("key") or field.alias or field.name
    return key


def field_types(cls: type[Any]) -> Mapping[str, Any]:
    """The types of a record's fields by name, annotations resolved. Raises `TypeError` for one that cannot be."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__}: {error}; what a configuration class is annotated with must be "
            "imported where the module is run, not under TYPE_CHECKING"
        ) from error
    return {field.name: hints.get(field.name, field.type or object) for field in attrs.fields(cls)}


def _objections(cls: type[Any], given: Mapping[str, Any], unfit: Collection[str]) -> list[_Finding]:
    """The objections of the record's own validators, but at the `unfit` keys, where something is wrong already.

    attrs stops at the first objection, does not say at which key, and is not asked at all while a sibling
    has the wrong type. So each validator is asked by itself, with a stand-in that holds the same values;
    one that needs a value which is not there keeps its opinion.
    """
    stand_in = object.__new__(cls)
    values: dict[str, Any] = {}
    for field in attrs.fields(cls):
        if key_of(field) in unfit:
            continue
        value = given.get(key_of(field), field.default)
        if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
            value = attrs.NOTHING if value.takes_self else value.factory()
        if value is not attrs.NOTHING:
            values[field.name] = value
            object.__setattr__(stand_in, field.name, value)
    found: list[_Finding] = []
    for field in attrs.fields(cls):
        if field.validator is None or field.name not in values:
            continue
        try:
            field.validator(stand_in, field, values[field.name])
        except AttributeError:
            continue
        except (ValueError, TypeError, PenstockError) as objection:
            found += _as_findings(objection, field, values[field.name])
    return found


def _as_findings(error: Exception, field: attrs.Attribute[Any] | None = None, value: object = None) -> list[_Finding]:
    """The objections of a record, or of the validator of its `field`. A `ConfigError` says itself at which keys; the
    name of the field, if the words begin with it, is left to the path.
    """
    at: PathParts = () if field is None else (key_of(field),)
    if isinstance(error, ConfigError):
        objections: list[tuple[PathParts, str]] = [(record.path, record.what) for record in error.records]
    else:
        objections = [((), _words(error))]
    name = "" if field is None else field.name
    return [
        _Finding(path, what, quoted=value)
        if path
        else _Finding(at, what.removeprefix(f"'{name}' ").removeprefix(f"{name} "), quoted=value)
        for path, what in objections
    ]


def _words(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _unfit(wanted: Any) -> _Hook:
    raise TypeError(f"a configuration cannot hold {type_in_words(wanted)}: no TOML value would fit")


_origin: Final[Callable[[Any], Any]] = get_origin


def _is_array(wanted: Any) -> bool:
    return is_list_type(get_origin(wanted) or wanted)


def _is_table(wanted: Any) -> bool:
    args = get_args(wanted)
    return is_mapping_type(get_origin(wanted) or wanted) and (not args or args[0] is str)


def _is_record(wanted: Any) -> bool:
    return isinstance(wanted, type) and attrs.has(wanted)


def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    # Later registrations are asked first; the first one catches what no other takes.
    converter.register_structure_hook_factory(lambda _: True, _unfit)
    converter.register_structure_hook_func(_is_array, _array)
    converter.register_structure_hook_func(_is_table, _table)
    converter.register_structure_hook_func(_is_record, _record)
    converter.register_structure_hook_func(lambda t: _origin(t) in (Union, UnionType), _union)
    converter.register_structure_hook_func(lambda t: _origin(t) is Literal, _literal)
    converter.register_structure_hook_func(lambda t: _origin(t) is Annotated, lambda v, t: _build(v, get_args(t)[0]))
    converter.register_structure_hook_func(
        lambda t: hasattr(t, "__supertype__"), lambda v, t: _build(v, t.__supertype__)
    )
    converter.register_structure_hook_func(lambda t: t is Any or t is object, lambda value, _: value)
    converter.register_structure_hook(bytes, lambda _, wanted: _unfit(wanted))
    for scalar in (bool, int, float, str, Path, datetime, date, time, enum.Enum):
        converter.register_structure_hook(scalar, _scalar)
    return converter


_converter: Final = _strict_converter()
