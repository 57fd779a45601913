"""The runner against a real Ray: `tox -e ray` installs it, and runs this where there is no network but loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from threading import Lock
from traceback import format_exception
from typing import Any

import pytest
import trio

from penstock import ConfigError, PenstockError, TaskRunner, WorkerLost
from penstock.testing import SchedulerRig, TaskRunnerContract, open_rig
from penstock_ray import NodeLost, RayConfig, RayTaskRunner

ASKED_FOR = os.environ.get("PENSTOCK_RAY")
pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(ASKED_FOR == "none", reason="the system allows no network namespace for a local Ray"),
    pytest.mark.skipif(
        ASKED_FOR is None and find_spec("ray") is None,
        reason="Ray is not installed: `tox -e ray` installs it and runs this",
    ),
    pytest.mark.filterwarnings("default"),  # Ray's own
]


# -- clusters


@pytest.fixture(autouse=True, scope="session")
def _token() -> Iterator[None]:
    """What lets nodes and drivers in, which Ray wants; given here, so that it makes no file of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", token_hex(32))
        yield


@contextmanager
def node(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node of a cluster, in processes of its own."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [*command, *options], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """The end of a node, as by a loss of power."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], str]]:
    """Starts the head of a cluster, with so many CPUs, and gives its address."""
    with ExitStack() as running:

        def start(cpus: int) -> str:
            port = free_port()
            running.enter_context(
                node("--head", f"--port={port}", f"--num-cpus={cpus}", "--include-dashboard=false")
            )  # fmt: skip
            wait_for(port)
            return f"127.0.0.1:{port}"

        yield start


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the head of the cluster did not start within a minute")


@pytest.fixture(scope="session")
def address(head: Callable[[int], str]) -> str:
    """A cluster with two CPUs."""
    return head(2)


@asynccontextmanager
async def opened(**config: Any) -> AsyncIterator[SchedulerRig]:
    async with open_rig(runners={"it": RayTaskRunner(RayConfig(workers=2, **config))}) as rig:
        yield rig


def start(rig: SchedulerRig, fn: Any, *args: Any, **options: Any) -> Any:
    return rig.scheduler.start_soon(fn, *args, runner="it", **options)


# -- functions: nested, so that they go by value to workers that could not import this file


def sleeps() -> Callable[[str], None]:
    def sleep(path: str) -> None:
        import os
        import time

        with open(path, "w") as fifo:
            fifo.write(str(os.getpid()))
        time.sleep(3600)

    return sleep


def loops() -> Callable[[str], None]:
    def loop(path: str) -> None:
        import os

        with open(path, "w") as fifo:
            fifo.write(str(os.getpid()))
        while True:
            pass

    return loop


async def begun(rig: SchedulerRig, fn: Any, folder: Path, **options: Any) -> tuple[Any, int]:
    """The handle of a task that has begun, and the process that it is in."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    handle = start(rig, fn, str(fifo), cancellable=True, **options)
    return handle, int(await trio.to_thread.run_sync(fifo.read_text))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# -- the contract


class TestRay(TaskRunnerContract):
    tasks = 24

    @pytest.fixture(autouse=True)
    def _cluster(self, address: str) -> None:
        self.address = address

    def make_runner(self) -> TaskRunner:
        return RayTaskRunner(RayConfig(workers=2, address=self.address, cancel_within=0.5))

    @property
    def endless(self) -> Callable[[], Any]:
        def sleep() -> None:
            import time

            time.sleep(3600)

        return sleep


# -- what comes back


async def test_what_a_task_raises_is_its_own_with_its_traceback(address: str) -> None:
    def inner(depth: int) -> None:
        if depth:
            inner(depth - 1)
        raise KeyError("deep")

    def chained() -> None:
        try:
            inner(2)
        except KeyError as error:
            raise ValueError("outer") from error

    def calls() -> None:
        import penstock

        with penstock.request("acme/fast"):
            pass

    async with opened(address=address) as rig:
        with pytest.raises(ValueError, match="outer") as caught:
            await start(rig, chained)
        assert type(caught.value) is ValueError
        shown = "".join(format_exception(caught.value))
        assert shown.count("in inner") == 3
        assert "direct cause" in shown
        with pytest.raises(RuntimeError, match="there is no gate in this process: call before or after"):
            await start(rig, calls)
        with pytest.raises(PenstockError, match="or its result not sent: TypeError: cannot pickle"):
            await start(rig, Lock)
        with pytest.raises(ConfigError, match=r"args\[0\] cannot be pickled for a worker of the cluster"):
            start(rig, len, Lock())
        assert await start(rig, len, bytes(5_000_000)) == 5_000_000


# -- losses


async def test_a_worker_that_dies_fails_its_task_alone(address: str, tmp_path: Path) -> None:
    def once_then(path: str, value: int) -> int:
        import os
        import signal

        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return value
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached")

    async with opened(address=address) as rig:
        once = start(rig, once_then, str(tmp_path / "once"), 5)
        other = start(rig, len, "abc")
        await once.wait()
        assert type(once.error) is WorkerLost
        assert await other == 3
        twice = start(rig, once_then, str(tmp_path / "twice"), 5, retry_on=(WorkerLost,))
        assert await twice == 5
        assert twice.attempts == 2


async def test_a_node_that_dies_is_the_infrastructures_failure(head: Callable[[int], str], tmp_path: Path) -> None:
    address = head(0)
    with node(f"--address={address}", "--num-cpus=2") as lost:
        async with opened(address=address) as rig:
            handle, _ = await begun(rig, sleeps(), tmp_path)
            kill(lost)
            await handle.wait()
            assert type(handle.error) is NodeLost
            assert handle.attempts == 1


# -- cancelling


async def test_what_computes_in_python_ends_when_it_is_told(address: str, tmp_path: Path) -> None:
    async with opened(address=address, cancel_within=60) as rig:
        handle, pid = await begun(rig, loops(), tmp_path)
        rig.scheduler.cancel_task(handle.task_id)
        await handle.wait()
        assert handle.status == "cancelled"
        assert is_alive(pid), "a worker that ends its task is kept"


async def test_what_does_not_end_loses_its_worker(address: str, tmp_path: Path) -> None:
    async with opened(address=address, cancel_within=0.5) as rig:
        handle, pid = await begun(rig, sleeps(), tmp_path)
        rig.scheduler.cancel_task(handle.task_id)
        await handle.wait()
        assert handle.status == "cancelled"
        await trio.to_thread.run_sync(until_dead, pid)
        assert await start(rig, len, "abc") == 3


def until_dead(pid: int) -> None:
    while is_alive(pid):
        time.sleep(0.01)


# -- a local Ray


def listeners() -> set[str]:
    """The addresses at which anything listens, as the kernel writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                found.add(local)
    return found


LOOPBACK = ("0100007F:", "0000000000000000FFFF00000100007F:", "00000000000000000000000001000000:")


async def test_a_local_ray_listens_on_loopback_and_leaves_nothing_behind() -> None:
    before = listeners()
    async with opened() as rig:
        pid = await start(rig, os.getpid)
        new = listeners() - before
        assert new
        assert [each for each in new if not each.startswith(LOOPBACK)] == []
    await trio.to_thread.run_sync(until_dead, pid)
