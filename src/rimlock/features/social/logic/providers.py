"""Who may vouch for somebody: each provider with what is particular about it, and how they are found in the settings.

Threat: an address taken for proven because some provider said so; two providers that could be taken for each other.
Source: OpenID Connect Core 1.0 sections 5.1 and 5.7; RFC 9700 section 4.4 (mix-up); A. Sudhodanan, A. Paverd:
    Pre-hijacked Accounts (2022), class 5; providers' own documentation.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from rimlock.core.errors import ConfigurationError
from rimlock.core.outgoing import is_near, is_sound
from rimlock.crypto.jose import Algorithm, KeyRefused, SigningKey, load_private

__all__ = ["PRESETS", "Endpoints", "Provider", "Reading", "incomplete", "provider_of", "providers_of"]

Reading = Literal["claims", "github", "facebook", "discord"]
"""How it is told who somebody is: by OpenID Connect's claims, or in a way of the provider's own."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SIGNATURES = frozenset({"RS256", "ES256", "EdDSA", "Ed25519"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a provider is asked that does not publish it. `emails`: the list of addresses, where it is apart."""

    authorization: str
    token: str
    user: str
    emails: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider and our registration with it. Raises ConfigurationError, with the mend in the sentence.

    `issuer`: whom identities are kept under; with `endpoints` None it is asked for its metadata (OpenID Connect
    Discovery). `trusts_email`: whether its word that an address is proven counts. `client_auth`: how we say who we
    are at the token endpoint, None for what the metadata offers. `algorithms`: of its id tokens. `signing_key`:
    makes the client secret (Apple); `team` is who it is issued by. `tenants`: the issuer names each tenant's own.
    """

    name: str
    client_id: str
    issuer: str
    title: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: Sequence[str] = ("openid", "email", "profile")
    endpoints: Endpoints | None = None
    reading: Reading = "claims"
    trusts_email: bool = True
    client_auth: Literal["basic", "post", "none"] | None = None
    algorithms: frozenset[str] = _SIGNATURES
    extra: Mapping[str, str] = field(default_factory=dict)
    signing_key: SigningKey | None = field(default=None, repr=False)
    team: str = ""
    tenants: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work or is not safe."""
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"the provider {self.name!r} needs a name of small letters, like google")
        if not self.client_id:
            raise ConfigurationError(f"the provider {self.name} needs a client_id: register this application there")
        for place in self._places():
            if not is_sound(place, near=is_near(self.issuer)):
                raise ConfigurationError(f"the provider {self.name} is asked over https, not at {place!r}")
        if not self.algorithms <= _SIGNATURES:
            raise ConfigurationError(f"the provider {self.name}: id tokens are signed by {', '.join(_SIGNATURES)}")
        if self.openid and "openid" not in self.scopes:
            raise ConfigurationError(f"the provider {self.name} needs the scope openid")

    @property
    def openid(self) -> bool:
        """Whether it speaks OpenID Connect, and so signs what it says."""
        return self.endpoints is None

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.title or self.name.capitalize()

    def _places(self) -> list[str]:
        found = self.endpoints
        places = [] if found is None else [found.authorization, found.token, found.user, found.emails]
        return [self.issuer, *filter(None, places)]


_GITHUB = Endpoints(
    authorization="https://github.com/login/oauth/authorize",
    token="https://github.com/login/oauth/access_token",
    user="https://api.github.com/user",
    emails="https://api.github.com/user/emails",
)
_FACEBOOK = Endpoints(
    authorization="https://www.facebook.com/v23.0/dialog/oauth",
    token="https://graph.facebook.com/v23.0/oauth/access_token",
    user="https://graph.facebook.com/v23.0/me?fields=id,name,email",
)
_DISCORD = Endpoints(
    authorization="https://discord.com/oauth2/authorize",
    token="https://discord.com/api/oauth2/token",
    user="https://discord.com/api/users/@me",
)
_ANY = Provider(name="any", client_id="-", issuer="https://issuer.invalid")
PRESETS: Mapping[str, Provider] = MappingProxyType(
    {
        "google": replace(_ANY, name="google", title="Google", issuer="https://accounts.google.com"),
        "microsoft": replace(
            # An administrator of any tenant can write any address into an account: its word proves none.
            _ANY,
            name="microsoft",
            title="Microsoft",
            issuer="https://login.microsoftonline.com/common/v2.0",
            trusts_email=False,
            tenants=True,
        ),
        "apple": replace(
            _ANY,
            name="apple",
            title="Apple",
            issuer="https://appleid.apple.com",
            scopes=("openid", "email", "name"),
            client_auth="post",
            extra={"response_mode": "form_post"},
        ),
        "gitlab": replace(_ANY, name="gitlab", title="GitLab", issuer="https://gitlab.com"),
        "github": replace(
            _ANY,
            name="github",
            title="GitHub",
            issuer="https://github.com",
            scopes=("read:user", "user:email"),
            endpoints=_GITHUB,
            reading="github",
            client_auth="post",
        ),
        "facebook": replace(
            # It tells an address without saying that anybody proved it.
            _ANY,
            name="facebook",
            title="Facebook",
            issuer="https://www.facebook.com",
            scopes=("email", "public_profile"),
            endpoints=_FACEBOOK,
            reading="facebook",
            client_auth="post",
            trusts_email=False,
        ),
        "discord": replace(
            _ANY,
            name="discord",
            title="Discord",
            issuer="https://discord.com",
            scopes=("identify", "email"),
            endpoints=_DISCORD,
            reading="discord",
            client_auth="post",
        ),
    }
)
"""Providers whose particulars are known here. Each still needs a registration: `client_id` and so on."""


def providers_of(settings: Mapping[str, Mapping[str, str]]) -> dict[str, Provider]:
    """Return the providers that the settings are complete for. Raises ConfigurationError."""
    return {name: provider_of(name, given) for name, given in settings.items() if incomplete(name, given) is None}


def incomplete(name: str, given: Mapping[str, str]) -> str | None:
    """Return what a provider still needs before it can be offered, None when it needs nothing.

    An environment may hold a client id of some service for another reason; that must not keep anything from starting.
    """
    wanted = ["client_id", *_NEEDED.get(name, ("client_secret",) if name in PRESETS else ("issuer",))]
    if name == "apple" and given.get("client_secret"):
        wanted = ["client_id"]
    if name in PRESETS and given.get("issuer"):
        wanted = ["client_id"]
    return next((one for one in wanted if not given.get(one)), None)


_NEEDED = {"apple": ("team_id", "key_id", "private_key")}


def provider_of(name: str, given: Mapping[str, str]) -> Provider:
    """Return the provider that some settings describe, by a preset where there is one. Raises ConfigurationError."""
    if unknown := set(given) - _KNOWN:
        raise ConfigurationError(f"social: {name} has no setting {', '.join(sorted(unknown))}")
    preset = PRESETS.get(name, replace(_ANY, name=name))
    made = replace(
        preset,
        client_id=given.get("client_id", ""),
        client_secret=given.get("client_secret", ""),
        issuer=given.get("issuer") or _tenant(preset, given) or preset.issuer,
        title=given.get("title") or preset.title,
        scopes=tuple(given["scopes"].replace(",", " ").split()) if given.get("scopes") else preset.scopes,
        trusts_email=_switch(name, given.get("trust_email"), preset.trusts_email),
        **_own_key(name, given),
    )
    return _elsewhere(made, given)


_KNOWN = frozenset(
    "client_id client_secret issuer title scopes trust_email tenant team_id key_id private_key".split()  # noqa: SIM905
)


def _tenant(preset: Provider, given: Mapping[str, str]) -> str | None:
    tenant = given.get("tenant")
    return f"https://login.microsoftonline.com/{tenant}/v2.0" if tenant and preset.tenants else None


def _elsewhere(made: Provider, given: Mapping[str, str]) -> Provider:
    """A preset whose issuer was replaced keeps its name, and speaks OpenID Connect with whoever is there."""
    if not given.get("issuer"):
        return made
    plain = made if made.openid else replace(made, endpoints=None, reading="claims", scopes=_ANY.scopes)
    auth = None if plain.signing_key is None else plain.client_auth
    extra = plain.extra if plain.signing_key is not None else {}
    return replace(plain, tenants="{tenantid}" in made.issuer or _is_common(made), client_auth=auth, extra=extra)


def _is_common(made: Provider) -> bool:
    return made.tenants and made.issuer.startswith("https://login.microsoftonline.com/")


def _switch(name: str, text: str | None, otherwise: bool) -> bool:  # noqa: FBT001 - a default
    if not text:
        return otherwise
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
    except KeyError:
        raise ConfigurationError(f"social: trust_email of {name} is true or false") from None


def _own_key(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    if not given.get("private_key"):
        return {}
    return {"signing_key": _key(name, given.get("key_id", ""), given["private_key"]), "team": given.get("team_id", "")}


def _key(name: str, kid: str, text: str) -> SigningKey:
    """Read a key as a provider hands it out: PKCS8 in PEM, its lines perhaps divided by the two signs of an escape."""
    lines = text.replace("\\n", "\n").strip().splitlines()
    inside = "".join(line.strip() for line in lines if not line.startswith("-----"))
    try:
        return load_private(Algorithm.ES256, kid, a2b_base64(inside.encode(), strict_mode=True))
    except (Error, KeyRefused, ValueError):
        raise ConfigurationError(f"social: private_key of {name} is no P-256 key in PEM, or key_id is wrong") from None
