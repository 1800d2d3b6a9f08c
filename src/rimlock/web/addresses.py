"""Where a request comes from, believing forwarded headers only of proxies that were named.

Threat: an attacker who is somebody else with every guess, by writing `X-Forwarded-For`.
Source: RFC 7239 section 8.1; OWASP ASVS 5.0 V4.1.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

__all__ = ["UNKNOWN", "Network", "client_address"]

Network = IPv4Network | IPv6Network
UNKNOWN = "unknown"
"""Where a request comes from that names no peer. It is a place like any other, and is limited like one."""


def client_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Return the address of the client: of the peer, or what the nearest proxies that are `trusted` say.

    The header is read from the right. The first address that is no trusted proxy is the client; what stands left of
    it was written by nobody we know.
    """
    client = scope.get("client")
    if not client or not client[0]:
        return UNKNOWN
    peer = str(client[0])
    if not trusted or not _within(peer, trusted):
        return peer
    for claimed in reversed(_forwarded(scope)):
        address = _parsed(claimed)
        if address is None:
            return peer
        peer = str(address)
        if not _within(peer, trusted):
            return peer
    return peer


def _forwarded(scope: Mapping[str, Any]) -> list[str]:
    """The addresses of every `X-Forwarded-For`, in the order in which they were added."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [part.strip() for part in ",".join(lines).split(",") if part.strip()]


def _within(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks if network.version == parsed.version)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, with or without brackets and a port. IPv4 in IPv6 is IPv4."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
