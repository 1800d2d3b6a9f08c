"""The features that come with Rimlock, each a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rimlock.core.rulefile import RuleFile
    from rimlock.feature import Feature

__all__ = ["standard"]


def standard(file: RuleFile) -> tuple[Feature, ...]:
    """Return every feature of ours, as an application gets them that asks for none in particular."""
    from rimlock.features.admin import AdminFeature
    from rimlock.features.api_keys import ApiKeys
    from rimlock.features.audit import AuditFeature
    from rimlock.features.email_verification import EmailVerification
    from rimlock.features.invitations import InvitationsFeature
    from rimlock.features.mail import MailFeature
    from rimlock.features.metrics import MetricsFeature
    from rimlock.features.password import PasswordFeature
    from rimlock.features.password_recovery import PasswordRecovery
    from rimlock.features.profile import ProfileFeature
    from rimlock.features.retirement import RetirementFeature
    from rimlock.features.rollout import RolloutFeature
    from rimlock.features.sessions import SessionsFeature
    from rimlock.features.social import SocialFeature
    from rimlock.features.status import StatusFeature
    from rimlock.features.subscription import SubscriptionFeature

    return (
        PasswordFeature(),
        EmailVerification(),
        PasswordRecovery(),
        ProfileFeature(),
        SessionsFeature(),
        ApiKeys(file.keys),
        SocialFeature(),
        RetirementFeature(),
        RolloutFeature(),
        SubscriptionFeature(),
        AdminFeature(),
        InvitationsFeature(),
        AuditFeature(),
        MailFeature(),
        MetricsFeature(),
        StatusFeature(),
    )
