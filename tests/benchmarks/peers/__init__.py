"""Our backtest beside the public ones: the same bars, the same rule, a process each."""
