"""Workers import the main file, to find the functions in it. Here that is pytest, which they have no use for."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def workers_do_without_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.delattr(main, "__file__", raising=False)
