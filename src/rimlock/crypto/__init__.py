"""Bytes in, bytes out: signatures, sealing, opaque tokens, passwords.

Threat: cryptography spread over the house, where nobody can see all of it at once.
Source: OWASP ASVS 5.0 V11.
"""
