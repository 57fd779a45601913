"""Suites that state what every queue, policy, limiter and sink must do."""
