"""From frames to candles and account events."""
