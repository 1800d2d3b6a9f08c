"""Signing in through somebody else: begin, come back, and come in.

Threat: a sign-in that another browser began; an answer used twice; a stranger who makes us ask a provider again and
    again; a code taken out of an address.
Source: RFC 9700 sections 2.1, 4.5 and 4.7; OWASP ASVS 5.0 V10.2.1, V10.2.2, V10.2.3; design section 4 (a login).

The steps know no HTTP. Whoever speaks it carries the sealed text of `begin` to the browser and back to `finish`, and
turns the person into a session by `enter`, at once or by a code that the page fetches the tokens with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from rimlock.core import challenges
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import AuthError, NotFound
from rimlock.core.issuers import Issuer
from rimlock.core.outgoing import NoReply
from rimlock.crypto.encoding import encode
from rimlock.crypto.opaque import digest, new_secret
from rimlock.features.social.errors import ProviderFailed, ProviderRefused, StateRefused
from rimlock.features.social.events import SocialLoginFailed
from rimlock.features.social.logic.entering import enter
from rimlock.features.social.logic.landing import allowed_next
from rimlock.features.social.logic.persons import Person
from rimlock.features.social.logic.talking import authorization_url, check_answer, person_behind
from rimlock.features.social.logic.transaction import SECONDS, Transaction, cookie_id, opened, sealed

if TYPE_CHECKING:
    from rimlock.core import database
    from rimlock.core.login import Pending, SignedIn
    from rimlock.core.outgoing import Send
    from rimlock.core.principal import Principal
    from rimlock.core.sessions import Device
    from rimlock.feature import Context
    from rimlock.features.social.logic.providers import Provider
    from rimlock.features.social.logic.talking import Answer

__all__ = ["CODE_SECONDS", "Begun", "Code", "Social"]

CODE_SECONDS = 60
"""How long a page has to fetch the tokens."""

_CODE, _USED = "social-code", "social-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that begins. `url`: where the browser goes. `carried`: what it keeps meanwhile, under `id`.

    `seconds`: how long.
    """

    url: str = field(repr=False)
    id: str
    carried: str = field(repr=False)
    seconds: int = SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a page fetches the tokens with, once. `binding`: what the browser has to show besides, kept under `id`.

    Without `binding` the page shows the verifier of its own challenge.
    """

    token: str = field(repr=False)
    id: str
    binding: str | None = field(repr=False)
    seconds: int = CODE_SECONDS


class Social:
    """The providers of one installation, and the way through them."""

    def __init__(self, context: Context, providers: Iterable[Provider], send: Send) -> None:
        """`send` carries requests out. Asks nobody yet."""
        self.context = context
        self.providers: dict[str, Provider] = {one.name: one for one in providers}
        self._send = send
        self._issuers = {one.name: Issuer(one.issuer, send, context.clock) for one in self.providers.values()}

    def provider(self, name: str) -> Provider:
        """Return a provider that is offered. Raises NotFound."""
        found = self.providers.get(name)
        if found is None:
            raise NotFound
        return found

    @property
    def home(self) -> str:
        """The address of the pages that people go back to, without a slash at the end."""
        settings = self.context.settings
        if settings.frontend_url:
            return settings.frontend_url.rstrip("/")
        return settings.public_url.removesuffix(settings.prefix)

    def page(self, wanted: str = "") -> str:
        """Return the whole address of a page to go back to, `home` for none. Raises NextRefused."""
        return allowed_next(wanted, home=self.home, origins={*self.context.browser.origins, self._home_origin})

    async def begin(
        self,
        name: str,
        *,
        next: str = "",  # noqa: A002 - the parameter's name everywhere
        redirect_uri: str = "",
        challenge: str = "",
        linking: Principal | None = None,
    ) -> Begun:
        """Begin a sign-in, or with `linking` the linking of an identity to that account.

        `redirect_uri`: where the provider sends the browser back, our own route unless given: of settings, never of a
        request. `challenge`: of a page that will fetch the tokens by its verifier (RFC 7636, S256).
        Raises NotFound, NextRefused, ProviderFailed, TooManyAttempts, SenderMissing.
        """
        provider, page = self.provider(name), self.page(next)
        begun = Transaction(
            provider=name,
            issuer=provider.issuer,
            redirect_uri=redirect_uri or f"{self.context.settings.public_url}/oauth/callback/{name}",
            next=page,
            challenge=challenge,
            expires_at=self.context.now() + SECONDS,
            **_who_links(linking),
        )
        try:
            url = await authorization_url(provider, self._issuers[name], begun)
        except NoReply as error:
            # What nobody is waiting for costs nothing; only failures are written, and so they are counted.
            async with await self.context.limits.secret("social", acting().address, ProviderFailed):
                raise await self._failed(name, error) from None
        return Begun(url=url, id=cookie_id(begun.state), carried=sealed(self.context.root, begun))

    def recall(self, name: str, answer: Answer, carried: str | None) -> Transaction:
        """Return what this browser began, as `carried` says, if the answer belongs to it. Nothing is spent.

        Raises NotFound, StateRefused.
        """
        self.provider(name)
        now = self.context.now()
        return opened(self.context.root, carried, provider=name, state=answer.get("state", ""), now=now)

    async def finish(self, begun: Transaction, answer: Answer) -> Person:
        """Return who came back: once for each sign-in that was begun, after everything was checked.

        Raises StateRefused, ProviderRefused, ProviderFailed, TooManyAttempts, SenderMissing.
        """
        async with await self.context.limits.secret("social", acting().address, ProviderFailed):
            if not await self.context.database.write(lambda tx: self._spent(tx, begun)):
                raise StateRefused
            try:
                return await self._found(begun, answer)
            except NoReply as error:
                raise await self._failed(begun.provider, error) from None

    async def hand_out(self, begun: Transaction, person: Person) -> Code:
        """Return a code that the page of this browser fetches the tokens with."""
        binding = None if begun.challenge else new_secret()
        kept = {"person": person.facts(), "challenge": begun.challenge, "binding": digest(binding) if binding else ""}
        now = self.context.now()
        token = await self.context.database.write(
            lambda tx: challenges.issue(tx, _CODE, now=now, seconds=CODE_SECONDS, data=kept)
        )
        return Code(token=token, id=cookie_id(token), binding=binding)

    async def redeem(
        self,
        code: str,
        device: Device,
        *,
        binding: str | None = None,
        verifier: str = "",
        invitation: str | None = None,
    ) -> SignedIn | Pending:
        """Start a session for a code, from the browser it was handed to: once.

        Raises ChallengeRefused and what `enter` raises.
        """
        async with await self.context.limits.secret(_CODE, acting().address, ChallengeRefused):
            now = self.context.now()
            found = await self.context.database.read(lambda tx: challenges.peek(tx, _CODE, code, now=now))
            _check_holder(found.data, binding, verifier)
            return await enter(
                self.context,
                Person(**found.data["person"]),
                device,
                invitation=invitation,
                spend=lambda tx: challenges.consume(tx, _CODE, code, now=self.context.now()),
            )

    async def enter(self, person: Person, device: Device, *, invitation: str | None = None) -> SignedIn | Pending:
        """Start a session for who came back, at once. Raises what entering.enter raises."""
        return await enter(self.context, person, device, invitation=invitation)

    async def close(self) -> None:
        """Give connections back."""
        await self._send.close()

    @property
    def _home_origin(self) -> str:
        scheme, _, rest = self.home.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    def _spent(self, tx: database.Transaction, begun: Transaction) -> bool:
        return challenges.once(tx, _USED, begun.id, now=self.context.now(), expires_at=begun.expires_at)

    async def _found(self, begun: Transaction, answer: Answer) -> Person:
        provider, issuer = self.provider(begun.provider), self._issuers[begun.provider]
        try:
            code = await check_answer(provider, issuer, begun, answer)
        except ProviderRefused:
            await self._tell(begun.provider, "denied")
            raise
        return await person_behind(provider, issuer, self._send, begun, code, now=self.context.now())

    async def _failed(self, provider: str, error: NoReply) -> AuthError:
        await self._tell(provider, error.reason)
        return ProviderFailed()

    async def _tell(self, provider: str, reason: str) -> None:
        event = SocialLoginFailed(at=self.context.now(), provider=provider, reason=reason, address=acting().address)
        await self.context.database.write(lambda tx: tx.emit(event))


def _who_links(principal: Principal | None) -> Mapping[str, Any]:
    if principal is None:
        return {}
    return {
        "purpose": "link",
        "user_id": principal.user_id or "",
        "session_id": principal.credential_id,
        "epoch": principal.epoch,
    }


def _check_holder(kept: Mapping[str, str], binding: str | None, verifier: str) -> None:
    """Return for the browser, or the page, that the code was handed to. Raises ChallengeRefused."""
    expected: str = kept["challenge"] or kept["binding"]
    hashed: Callable[[str], str] = _challenge_of if kept["challenge"] else digest
    shown = verifier if kept["challenge"] else binding
    if not shown or not compare_digest(hashed(shown).encode(), expected.encode()):
        raise ChallengeRefused


def _challenge_of(verifier: str) -> str:
    return encode(sha256(verifier.encode("utf-8", "surrogatepass")).digest())
