"""Real parts for tests: each found on a ladder of places, started at most once a run, counted in a ledger."""
