"""Messages to people, by mail: written in their language, sent once they are true, tried again until they arrive."""

from __future__ import annotations

from rimlock.features.mail.feature import MailFeature, mail_of
from rimlock.features.mail.outward.procrastinate import ProcrastinateJobs

__all__ = ["MailFeature", "ProcrastinateJobs", "mail_of"]
