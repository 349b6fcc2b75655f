"""Backtest: the same machines on recorded minutes."""
