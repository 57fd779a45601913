"""A call with retries: the gate's thread decides on them, and the call itself is made where its caller is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, cast

import penstock
from penstock_asyncio.attempt import Attempt, neutral
from penstock_asyncio.call import Call, Held, Port, Reply
from penstock_asyncio.run import GateRun

__all__ = ["Execution"]

_TRACEBACK: Final[Any] = vars(BaseException)["__traceback__"]
"""As Python itself has it: an exception may have one of its own, which raises."""


class _CallerGone(BaseException):
    """Ends an attempt whose caller does not want the answer any more: cancelled, interrupted, closed."""


class Execution:
    """One call with retries, as `penstock.execute`. `call` goes to the port of the caller, whose answers are attempts:
    each is made inside `with making`.
    """

    def __init__(
        self,
        run: GateRun,
        port: Port,
        function: Callable[[Attempt], Any],
        resource: penstock.RequestResourceKey | str,
        options: Mapping[str, Any],
        **more: Any,
    ) -> None:
        if not callable(function):
            raise penstock.ConfigError(f"call must be a function that takes the attempt, not {type(function).__name__}")
        self._run = run
        self._resource = resource
        self._options = {**options, **more}
        self.call = Call(port, self._execute)
        self.making = Making(run, self.call)

    def attempt(self, held: Held) -> Attempt:
        """The attempt to be made."""
        return Attempt(held, self._run)

    async def _execute(self, call: Call, executor: penstock.ModelRequestExecutor) -> None:
        error: BaseException | None = None  # the caller's own, with its traceback, and how the gate knows it
        trace: TracebackType | None = None
        known: BaseException | None = None

        async def make(attempt: penstock.Attempt) -> None:
            nonlocal error, trace, known
            call.reply = reply = Reply()
            call.value = Held(attempt, call.port, self._run.held)
            self._run.answer(call)
            error = await reply.wait()
            if error is not None:
                trace, known = _TRACEBACK.__get__(error), neutral(error)
                raise known

        try:
            await executor.execute(make, self._resource, **self._options)
        except BaseException as raised:
            if raised is not known:
                raise
            assert error is not None, "an error was known"
            # Of its way through this thread its caller need not know.
            call.error = BaseException.with_traceback(error, trace)
        finally:
            del error, trace, known


class Making:
    """The block in which an attempt is made. An error in it is kept, in `failed`, since the gate is to say whether
    there is another attempt; whatever else leaves it ends the call.
    """

    def __init__(self, run: GateRun, call: Call) -> None:
        self._run = run
        self._call = call
        self._failed: Exception | None = None

    @property
    def failed(self) -> Exception:
        """The error of the last attempt, in words that the gate knows."""
        error, self._failed = self._failed, None
        assert error is not None, "the attempt has failed"
        return error

    def __enter__(self) -> None:
        self._failed = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is not None and issubclass(kind, Exception):  # by its type: what it says of its class may raise
            self._failed = cast("Exception", error)
            return True
        self._run.reply(self._call, None if error is None else _CallerGone(), quiet=True)
        return False
