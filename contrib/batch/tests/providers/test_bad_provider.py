"""Providers that refuse, fail, hang or are not there: a reason for each row, few calls, and never a hang."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.command import run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder, Provider

pytestmark = pytest.mark.loopback

QUICK = ("[requests]", "[batch]\ngive_up_failures = 6\ngive_up_start = 0.05\n[requests]")


def failing(folder: Folder, *replaced: tuple[str, str], rows: int = 200) -> set[str]:
    """The reasons of a run in which every row fails."""
    folder.rows(rows)
    folder.write(QUICK, *replaced)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    failed = folder.failed()
    assert len(failed) == rows
    assert folder.answers() == []
    return {record["error"] for record in failed}


def test_a_refused_key_costs_a_few_calls_not_one_per_row(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WRONG_KEY", "sk-wrong")
    reasons = failing(
        folder,
        ('base_url = "BASE_URL"', 'kind = "mock"\napi_key_env = "WRONG_KEY"'),
        ("[requests]", '[providers.p.options]\nkeys = ["sk-right"]\n[requests]'),
    )
    first = "p: HTTP 401: Incorrect API key provided."
    assert reasons == {first, f"not called, p/writer was given up after {first}"}
    reported = capsys.readouterr().out
    assert "sk-wrong" not in reported
    assert int(reported.partition(" calls,")[0].rpartition("\n")[2]) <= 16


def test_a_provider_that_always_fails_gets_a_bounded_number_of_calls(served: Folder, provider: Provider) -> None:
    before = provider.arrived("broken")
    reasons = failing(served, ('"p/writer"', '"p/broken"'))
    first = "p: HTTP 500: The mock fails, as it was configured to."
    assert f"not called, p/broken was given up after {first}" in reasons
    assert provider.arrived("broken") - before < 100


def test_a_provider_that_does_not_answer_is_named(folder: Folder) -> None:
    reasons = failing(folder)
    assert "not called, p/writer was given up after p: cannot connect to 127.0.0.1:9: Connection refused" in reasons


def test_a_provider_that_speaks_no_tls_is_told_in_the_words_of_the_tls_library(
    served: Folder, provider: Provider
) -> None:
    reasons = failing(served, ("BASE_URL", provider.base_url.replace("http:", "https:")))
    assert all(": TLS: " in reason for reason in reasons)
    assert not any("not permitted" in reason for reason in reasons)


def test_a_provider_that_never_answers_is_not_waited_for(served: Folder) -> None:
    reasons = failing(served, ('"p/writer"', '"p/silent"\ntimeout = 0.2'), rows=40)
    assert "not called, p/silent was given up after p: no answer within 0.2 s" in reasons


def test_a_model_that_the_provider_does_not_have_is_named(served: Folder) -> None:
    reasons = failing(served, ("[providers.p.models.writer]", '[providers.p.models.writer]\nmodel = "gone"'), rows=20)
    assert any("HTTP 404: The model 'gone' does not exist" in reason for reason in reasons)


def test_a_parameter_that_the_provider_refuses_is_reported(served: Folder) -> None:
    reasons = failing(served, ("input = ", "params = { dimensions = -1 }\ninput = "))
    assert "p: HTTP 400: 'dimensions' must be a whole number from 1 to 4096." in reasons
    assert len(reasons) == 2


def test_the_rows_of_a_dead_step_keep_what_the_others_gave(served: Folder, provider: Provider) -> None:
    served.rows(20)
    before = provider.completed("writer")
    served.write(QUICK, ('"p/embedder"', '"p/broken"'))
    assert run_command(served.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    assert {record["step"] for record in served.failed()} == {"vector"}
    done = provider.completed("writer") - before
    assert served.cells().count("summary") == done == 20


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_no_proxy_of_the_environment_gets_what_is_meant_for_this_machine(
    served: Folder, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    served.rows(3)
    served.write()
    assert run_command(served.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0


def test_a_proxy_that_cannot_be_used_is_told_in_one_line(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:9")
    folder.rows(3)
    folder.write(("BASE_URL", "http://acme.invalid/v1"))
    with pytest.raises(ConfigError, match=r"providers\.p\.base_url: the proxy that the environment names"):
        run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")
