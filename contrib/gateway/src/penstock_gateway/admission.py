"""What the gate's refusal of a call is to its client: a status, and what it has waited for. Pure."""

from __future__ import annotations

from penstock_gateway.gate import NotAdmitted
from penstock_gateway.refusal import Refusal

__all__ = ["refusal_of"]


def refusal_of(error: NotAdmitted, waited: float, usual_wait: float) -> Refusal:
    """The refusal of a call that has `waited` so many seconds. 429: for the limits of its own key; 503: for the
    provider, or for others. Where nobody knows when it might go, `Retry-After` is what calls have waited lately
    (`usual_wait`).
    """
    after = max(1.0, usual_wait) if error.retry_after is None else error.retry_after
    detail = f": {error.detail}" if error.detail else ""
    match error.reason:
        case "never_fits":
            return Refusal(400, "never_fits", f"the call is larger than it may ever be{detail}")
        case "shutdown":
            return Refusal(503, "shutting_down", "the gateway is shutting down", 1.0, waited)
        case "hard_policy_denial":
            return Refusal(503, "provider_unavailable", f"the provider is not called at present{detail}", after, waited)
        case "deadline":
            return Refusal(504, "deadline", f"the call could not begin by its deadline{detail}", None, waited)
    if error.limit_of.startswith("quota of group "):
        return Refusal(429, "key_quota", error.detail or "the quota of the key is used", after, waited)
    if error.limit_of.startswith("group "):
        return Refusal(429, "key_limit", f"the limits of the key leave no room{detail}", after, waited)
    return Refusal(503, "no_capacity", f"its turn did not come in time{detail}", after, waited)
