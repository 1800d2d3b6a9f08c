"""Takes messages out of the outbox, sends each of them, and writes down what became of it.

Threat: two processes that send the same message; one that is lost with the process that held it; a link that is sent
    after it is worth nothing; what was said, kept in the database for ever.
Source: RFC 5321 section 4.5.4.1 (retries); the transactional outbox; OWASP ASVS 5.0 V14.2.4, V15.4.2.

A message is claimed by one guarded statement, for a while. Who dies with it loses nothing: it is due again once that
while is over. It is sent once, but for a crash between the server's answer and the note of it; the second mail then
has the Message-ID of the first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import randbelow
from typing import TYPE_CHECKING, Any, Protocol

from rimlock.core.errors import Unavailable
from rimlock.core.ids import new_id
from rimlock.core.outbox import Outbox
from rimlock.crypto.sealing import SealBroken
from rimlock.features.mail.errors import NotSent, Unwritable
from rimlock.features.mail.events import MessageFailed, MessageSent
from rimlock.features.mail.logic import rows
from rimlock.features.mail.logic.composing import Mail, composed

if TYPE_CHECKING:
    from rimlock.core.clock import Clock
    from rimlock.core.database import Database
    from rimlock.core.mail_url import Sender
    from rimlock.core.messages import Message
    from rimlock.features.mail.logic.rows import Claimed
    from rimlock.features.mail.logic.writing import Writer

__all__ = ["MOST_ATTEMPTS", "Delivery", "Lane", "Round", "Transport", "pause_after"]

MOST_ATTEMPTS = 16
"""At the last of which some fourteen hours have passed."""

FIRST_PAUSE, LONGEST_PAUSE = 15, 7_200
LANES, PER_LANE = 4, 8
SPARE_SECONDS = 90
"""How much longer a claim lasts than a try may take: for slow clocks and a slow database."""

BROKEN_SECONDS = 5
_SETTLING = (0.2, 1.0, 3.0)
log = logging.getLogger("rimlock.mail")


class Lane(Protocol):
    """A way out that carries one mail after the other."""

    async def send(self, mail: Mail) -> None:
        """Hand it over. Raises NotSent."""
        ...

    async def close(self) -> None:
        """End it. Raises nothing."""
        ...


class Transport(Protocol):
    """How mails leave."""

    def lane(self) -> Lane:
        """Open nothing yet."""
        ...


@dataclass(frozen=True, slots=True)
class Round:
    """What became of the messages that were due."""

    sent: int = 0
    failed: int = 0
    broken: bool = False

    def __add__(self, other: Round) -> Round:
        return Round(self.sent + other.sent, self.failed + other.failed, self.broken or other.broken)


class Delivery:
    """Sends what waits in one outbox by one way. `patience`: how many seconds one mail may take."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        transport: Transport,
        writer: Writer,
        sender: Sender,
        kept: int,
        patience: float,
    ) -> None:
        """Open nothing yet."""
        self.database = database
        self.transport = transport
        self.writer = writer
        self.stopping = False
        self._outbox = outbox
        self._clock = clock
        self._sender = sender
        self._kept = kept
        self._patience = patience

    def now(self) -> int:
        """Whole seconds since the epoch."""
        return int(self._clock())

    async def next_due(self) -> int | None:
        """Return when the next message is due, None while none waits. Raises Unavailable."""
        return await self.database.read(rows.next_due)

    async def round(self) -> Round:
        """Send what is due now, at most so much that nobody waits long for the end. Raises Unavailable."""
        claimed = await self._claim(LANES * PER_LANE)
        lanes = [claimed[start::LANES] for start in range(LANES) if claimed[start::LANES]]
        done = await asyncio.gather(*map(self._carry_all, lanes), return_exceptions=True)
        if failed := [one for one in done if isinstance(one, BaseException)]:
            raise failed[0]
        return sum((one for one in done if isinstance(one, Round)), Round())

    async def all_due(self) -> Round:
        """Send until nothing is due any more, or nothing gets through. Raises Unavailable."""
        total = Round()
        while (due := await self.next_due()) is not None and due <= self.now():
            done = await self.round()
            total += done
            if done.broken or done == Round():
                break
        return total

    async def one(self, message_id: str) -> Round:
        """Send one message, if it is due and nobody else has it. Raises Unavailable."""
        return await self._carry_all(await self._claim(1, message_id))

    async def tidy(self) -> None:
        """Forget what was sent long ago, and what the dead said once it is over. Raises Unavailable."""
        now = self.now()
        await self.database.write(lambda tx: rows.forget(tx, before=now - self._kept))
        dead = await self.database.read(rows.dead_with_words)
        over = [one.id for one in dead if self._is_over(one, now)]
        if over:
            await self.database.write(lambda tx: rows.empty(tx, over))

    def letter_of(self, message_id: str, message: Message, locale: str | None = None) -> Mail:
        """Return a message as a mail. Raises Unwritable."""
        letter = self.writer.write(message, locale)
        return composed(letter, to=message.to, message_id=message_id, sender=self._sender, at=self.now())

    async def _claim(self, most: int, message_id: str | None = None) -> Sequence[Claimed]:
        now = self.now()
        until, by = now + int(self._patience) + SPARE_SECONDS, new_id(now)
        return await self.database.write(
            lambda tx: rows.claim(tx, by=by, now=now, until=until, most=most, message_id=message_id)
        )

    async def _carry_all(self, claimed: Sequence[Claimed]) -> Round:
        """Carry messages by one lane, one after the other. What it does not come to is due again."""
        if not claimed:
            return Round()
        lane, waiting, done = self.transport.lane(), deque(claimed), Round()
        try:
            while waiting and not done.broken and self._time_for(waiting[0]):
                done += await self._carry(lane, waiting.popleft())
        finally:
            later = BROKEN_SECONDS if done.broken else 0
            try:
                await self._give_back(waiting, later)
            finally:
                await lane.close()
        return done

    def _time_for(self, row: Claimed) -> bool:
        """Whether the claim lasts for another try: the first one always has."""
        return not self.stopping and row.until - self.now() >= self._patience

    async def _give_back(self, waiting: Sequence[Claimed] | deque[Claimed], later: int) -> None:
        if waiting:
            due, ids = self.now() + later, [one.id for one in waiting]
            by = waiting[0].by
            await self.database.write(lambda tx: rows.give_back(tx, ids, by=by, due=due))

    async def _carry(self, lane: Lane, row: Claimed) -> Round:
        message: Message | None = None
        try:
            message = self._opened(row)
            mail = await asyncio.to_thread(self.letter_of, row.id, message, row.locale)
            async with asyncio.timeout(self._patience):
                await lane.send(mail)
        except Unwritable as error:
            return await self._failed(row, error.reason, message, dead=not error.passing, over=error.over)
        except NotSent as error:
            return await self._failed(row, error.reason, message, dead=error.permanent, broken=error.broken)
        except TimeoutError:
            return await self._failed(row, "it took too long", message, broken=True)
        except Exception as error:  # noqa: BLE001 - a way out of the host's may raise anything, and the rest has to go on
            return await self._failed(row, type(error).__name__, message, broken=True)
        return await self._sent(row)

    def _opened(self, row: Claimed) -> Message:
        """Open a message. Raises Unwritable for one that cannot be, or should not be any more."""
        if row.attempts > MOST_ATTEMPTS:  # whoever claimed it died each time
            raise Unwritable("too many attempts")
        try:
            message = self._outbox.open(row.id, row.kind, row.sealed)
        except SealBroken:
            raise Unwritable("it was sealed under another secret") from None
        if _over(message, self.now()):
            raise Unwritable("its time is over", over=True)
        return message

    async def _sent(self, row: Claimed) -> Round:
        now = self.now()
        told = MessageSent(at=now, message_id=row.id, kind=row.kind, user_id=row.user_id, attempts=row.attempts)
        await self._settle(row, rows.sent(now), told)
        return Round(sent=1)

    async def _failed(
        self,
        row: Claimed,
        reason: str,
        message: Message | None,
        *,
        dead: bool = False,
        broken: bool = False,
        over: bool = False,
    ) -> Round:
        now = self.now()
        due = now + pause_after(row.attempts)
        dead = dead or row.attempts >= MOST_ATTEMPTS or (message is not None and _over(message, due))
        told = MessageFailed(
            at=now,
            message_id=row.id,
            kind=row.kind,
            user_id=row.user_id,
            reason=reason,
            attempts=row.attempts,
            dead=dead,
        )
        values = rows.dead(now, reason, emptied=over) if dead else rows.again(due, reason)
        await self._settle(row, values, told)
        return Round(failed=1, broken=broken)

    async def _settle(self, row: Claimed, values: Mapping[str, Any], told: MessageSent | MessageFailed) -> None:
        """Note what became of a message; hard to be put off, since it would be sent again otherwise."""

        def note(tx: Any) -> None:
            if rows.settle(tx, row, values):
                tx.emit(told)
            else:
                log.warning("message %s was given to somebody else meanwhile, or deleted with its user", row.id)

        for pause in (*_SETTLING, None):
            try:
                return await self.database.write(note)
            except Unavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        return None

    def _is_over(self, row: Claimed, now: int) -> bool:
        try:
            return _over(self._outbox.open(row.id, row.kind, row.sealed), now)
        except SealBroken:
            return False


def pause_after(attempts: int) -> int:
    """Return after how many seconds to try again: twice as long each time, and never all at the same moment."""
    pause = min(FIRST_PAUSE << min(attempts - 1, 20), LONGEST_PAUSE)
    return pause - pause // 5 + randbelow(pause * 2 // 5 + 1)


def _over(message: Message, now: int) -> bool:
    """Say whether what a message says has ended: by its own word, or by a fact of that name."""
    ends = message.expires_at if message.expires_at is not None else message.facts.get("expires_at")
    return isinstance(ends, int) and ends <= now
