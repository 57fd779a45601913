"""What `penstock mockprovider` does: serve until interrupted, then say what was seen."""

from __future__ import annotations

import signal

import click
import trio

from penstock_mockprovider.config import MockProviderConfig
from penstock_mockprovider.report import MockReport
from penstock_mockprovider.server import serve

__all__ = ["run"]


async def run(config: MockProviderConfig, host: str, port: int) -> None:
    """A provider for `config` until SIGINT or SIGTERM, then its report in a few lines.

    Raises `click.ClickException` if the port cannot be had.
    """
    try:
        # Signals are caught before the first line is printed: whoever waits for that line may interrupt
        # right after.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with serve(config, port=port, host=host) as provider:
                click.echo(f"mock provider at {provider.base_url}, models {', '.join(config.models)}")
                await anext(signals)
                report = provider.report()
    except OSError as error:
        raise click.ClickException(f"cannot serve at {host}:{port}: {error.strerror or error}") from None
    for line in _lines(report):
        click.echo(line)


def _lines(report: MockReport) -> list[str]:
    lines = []
    for name, model in report.models.items():
        total = model.total
        line = (
            f"{name}: {total.granted} granted, {total.refused} refused, {total.errors} errors, "
            f"{total.hung} hung, {total.abandoned} abandoned, at most {model.peak_concurrency} at a time"
        )
        if model.allowed_calls is not None:
            line += f"; {total.completed} completed where the limits allow {model.allowed_calls:.0f}"
        lines.append(line)
    lines += [f"rejected with {code}: {count}" for code, count in report.rejected.items()]
    return lines
