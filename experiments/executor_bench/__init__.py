"""What the machinery around the models costs: executor, replay, ledger."""
