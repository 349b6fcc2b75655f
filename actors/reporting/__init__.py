"""The page of a backtest, or of what the database holds: one self-contained HTML file."""
