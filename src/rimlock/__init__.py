"""Rimlock: accounts, tokens and access rules for an application that already runs."""
