"""The exchange itself, pure: prices, matching, margin and ledger on a clock that is handed in."""
