from __future__ import annotations

import pytest

from penstock_batch.providers.open_files import OTHERS, open_files_limit, too_few_files


@pytest.mark.parametrize(("calls", "limit"), [(1000, None), (1000, 1000 + OTHERS), (1, 1024)])
def test_enough_open_files_are_not_worth_a_word(calls: int, limit: int | None) -> None:
    assert too_few_files(calls, limit) is None


def test_too_few_open_files_are_told_with_what_to_do() -> None:
    told = too_few_files(1000, 1024)
    assert told is not None
    assert "ulimit -n" in told


def test_the_limit_of_this_process_is_known_where_there_is_one() -> None:
    limit = open_files_limit()
    assert limit is None or limit > 0
