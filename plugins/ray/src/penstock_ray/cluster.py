"""The connection to Ray: opened, used and closed here, and nowhere else.

Ray is imported when a run starts. A local Ray listens on loopback alone, has no dashboard, and tells nobody that it is
used. `connect` and `disconnect` take seconds and belong into a thread; the rest only hands something over.

The processes of a local Ray end with the thread that started them, which is what the system calls the death of their
parent. So one thread connects, stays, and disconnects.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import trio

from penstock import ConfigError
from penstock_ray.config import RayConfig
from penstock_ray.work import carry_out, in_words

__all__ = ["Cluster", "RemoteCall"]

_log: Final = logging.getLogger("penstock.ray")


class RemoteCall:
    """A task that Ray has. `ended` is set in the run when it has ended; `future` then has its answer."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.ended = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def tell(_: object) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self.ended.set)

        self.future = ref.future()
        self.future.add_done_callback(tell)


class Cluster:
    """Ray, as far as a runner uses it."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._ray: Any = None
        self._carry_out: Any = None
        self._thread = ThreadPoolExecutor(1, "penstock-ray")

    # -- the connection, in a thread

    def connect(self) -> None:
        """Start a local Ray, or connect to the cluster. Raises `ConfigError` if that cannot be done."""
        try:
            self._thread.submit(self._connect).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def disconnect(self) -> None:
        """Close the connection; a local Ray ends."""
        self._thread.submit(self._ray.shutdown).result()
        self._thread.shutdown()

    def _connect(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError as error:
            raise ConfigError(f"Ray cannot be imported, `pip install penstock-ray` brings it: {error}") from error
        if ray.is_initialized():
            raise ConfigError(
                "Ray is already in use in this process: one run at a time can have it, and that starts it itself; "
                "call ray.shutdown() before the run"
            )
        config = self._config
        options: dict[str, Any] = {"log_to_driver": config.show_output, "logging_level": logging.WARNING}
        if config.address is None:
            options |= {
                "address": "local",
                "num_cpus": math.ceil(config.places * config.cpus),
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
            }
        else:
            options["address"] = config.address
        try:
            ray.init(**options)
        except Exception as error:
            what = "a local Ray" if config.address is None else f"the cluster at {config.address}"
            why = in_words(error) if error.__cause__ is None else f"{in_words(error)} ({in_words(error.__cause__)})"
            raise ConfigError(f"plugins.ray: no connection to {what}: {why}") from error
        self._ray = ray
        # Retries are the run's own.
        self._carry_out = ray.remote(max_retries=0, retry_exceptions=False, num_cpus=config.cpus)(carry_out)

    # -- tasks, in the loop

    def submit(self, payload: Callable[[], Any], *, cpus: float | None = None) -> RemoteCall:
        """The task, handed to Ray. Raises `ConfigError` for what cannot be pickled any more."""
        remote = self._carry_out if cpus is None else self._carry_out.options(num_cpus=cpus)
        try:
            ref = remote.remote(payload)
        except Exception as error:
            raise ConfigError(f"the task cannot be handed to Ray: {in_words(error)}") from error
        return RemoteCall(ref)

    def cancel(self, call: RemoteCall, *, force: bool) -> None:
        """Tell a task to end; by force, by the end of its worker. When it has ended, `call.ended` tells."""
        try:
            self._ray.cancel(call.ref, force=force)
        except Exception as error:
            _log.warning("a task cannot be cancelled at the cluster: %s", in_words(error))

    def check_picklable(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raises `ConfigError` for what does not pickle, and names it."""
        for name, part in (("fn", fn), *((f"args[{at}]", each) for at, each in enumerate(args))):
            try:
                self._ray.cloudpickle.dumps(part)
            except Exception as error:
                raise ConfigError(
                    f"{name} cannot be pickled for a worker of the cluster: {error}; "
                    f"hand in what it is made from, and make it there"
                ) from error

    def load(self, data: bytes) -> Any:
        """What was pickled by a worker."""
        return self._ray.cloudpickle.loads(data)
