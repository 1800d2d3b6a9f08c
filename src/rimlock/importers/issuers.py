"""Who stands behind the name of a provider: the issuer that identities are kept under.

Threat: an identity kept under an issuer that never says the same subject, so that a stranger could come to have it.
Source: the discovery documents of these providers; for those without one, the address social sign-in keeps them under.

Microsoft is missing on purpose: its issuer names the tenant, and what some libraries keep of it is no subject.
"""

from __future__ import annotations

__all__ = ["ISSUERS"]

ISSUERS = {
    "google": "https://accounts.google.com",
    "apple": "https://appleid.apple.com",
    "gitlab": "https://gitlab.com",
    "github": "https://github.com",
    "facebook": "https://www.facebook.com",
    "discord": "https://discord.com",
}
