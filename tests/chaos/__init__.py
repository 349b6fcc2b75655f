"""Chaos on real processes: the bot is killed, its venue misbehaves, and the ledger is the judge."""
