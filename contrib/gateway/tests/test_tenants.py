"""Tenants of a gateway in virtual time: shares, waits, and a day of them."""

from __future__ import annotations

from trio.testing import MockClock

from penstock_model.gateway_tenants import a_day_of_tenants, two_tenants


async def test_a_tenant_with_ten_times_the_demand_gets_no_more_and_waits_instead_of_the_other(
    autojump_clock: MockClock,
) -> None:
    tenants = (await two_tenants(seed=1)).tenants
    ended = [tenants["small"].ended, tenants["large"].ended]
    jain = sum(ended) ** 2 / (len(ended) * sum(each * each for each in ended))
    assert jain >= 0.98
    assert tenants["small"].mean_wait < tenants["large"].mean_wait / 10
    assert sum(ended) > 2000, "the places stood empty"


async def test_a_day_of_tenants_keeps_every_limit_and_its_ledger(autojump_clock: MockClock) -> None:
    tenants = (await a_day_of_tenants(seed=1)).tenants
    assert tenants["trial"].refused["quota"] > 100
    assert tenants["spender"].refused["quota"] > 100
    assert min(tenant.left for tenant in tenants.values()) > 0
    assert sum(tenant.ended for tenant in tenants.values()) > 3000
