"""A process that sends what is due: `python -m features.mail.sending DATABASE MAIL_URL`."""

from __future__ import annotations

import asyncio
import sys

from features.mail.post_office import installed, running
from rimlock.features.mail import mail_of


async def main(database, mail_url):
    """Send everything, and end."""
    auth, _ = installed(database, mail_url)
    async with running(auth):
        await mail_of(auth).delivery.all_due()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
