"""The contract suites, which state what every queue, policy, limiter and sink must do."""
