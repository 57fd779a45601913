"""What `penstock bench gateway` measures: calls through a gateway, beside other ways through, by the processor's time."""
