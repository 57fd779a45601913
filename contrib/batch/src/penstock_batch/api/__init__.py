"""A run within a program: `penstock_batch.run(pipeline, rows=…)`, in plain code, under asyncio and under trio."""
