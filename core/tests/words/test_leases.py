"""A lease comes back once, and the ledger says why any other release counts for nothing."""

from __future__ import annotations

import attrs

from penstock import LeaseLedger


@attrs.define(slots=True, eq=False)
class Slip:
    lease_id: str
    controller_generation: int


def issue(ledger: LeaseLedger[Slip]) -> Slip:
    ledger.issued += 1
    lease = Slip(f"{ledger.prefix}{ledger.issued}", ledger.generation)
    ledger.out[lease] = None
    return lease


def test_a_lease_comes_back_once() -> None:
    ledger: LeaseLedger[Slip] = LeaseLedger("task-")
    lease = issue(ledger)
    assert ledger.close(lease).released
    again = ledger.close(lease)
    assert (again.released, again.reason) == (False, "duplicate")
    assert (ledger.issued, ledger.returned) == (1, 1)


def test_a_copy_of_a_lease_that_is_out_is_stale() -> None:
    ledger: LeaseLedger[Slip] = LeaseLedger("task-")
    lease = issue(ledger)
    assert ledger.close(attrs.evolve(lease)).reason == "stale_lease"
    assert ledger.close(lease).released


def test_a_lease_of_another_generation_is_recognised() -> None:
    old: LeaseLedger[Slip] = LeaseLedger("task-", 1)
    lease = issue(old)
    assert LeaseLedger[Slip]("task-", 2).close(lease).reason == "wrong_controller_generation"


def test_a_lease_that_was_never_issued_is_unknown() -> None:
    ledger: LeaseLedger[Slip] = LeaseLedger("task-")
    issue(ledger)
    for lease_id in ("task-1-2", "task-1-0", "task-1-x", "other-1-1", "nonsense", ""):
        assert ledger.close(Slip(lease_id, 1)).reason == "unknown_lease"
    ledger.check_invariants()


def test_what_was_released_is_not_remembered() -> None:
    ledger: LeaseLedger[Slip] = LeaseLedger("task-")
    for _ in range(1000):
        ledger.close(issue(ledger))
    assert len(ledger.live) == 0
    assert ledger.close(Slip("task-1-500", 1)).reason == "duplicate"
    ledger.check_invariants()
