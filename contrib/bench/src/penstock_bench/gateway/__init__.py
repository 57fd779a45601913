"""What `penstock bench gateway` measures: calls through a gateway and other ways through, by the processor's time."""
