"""What runs in the competitors' own environments: it knows their libraries and the standard library. Of Penstock it
knows `dispatch.workloads`, which needs nothing, and the simulated provider.
"""
