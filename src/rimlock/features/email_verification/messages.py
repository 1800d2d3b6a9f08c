"""What is said about addresses: the mails, and the pages their links lead to.

Threat: a mail that carries a sentence of whoever registered; a page that says more to a stranger than the next step.
Source: OWASP ASVS 5.0 V1.3.11 (mail), V3.4.3; WHATWG HTML.
"""

from __future__ import annotations

from rimlock.core.messages import MessageKind

__all__ = ["KINDS", "TEXTS"]

_PLACE = "rimlock.features.email_verification.templates"
_EXAMPLE = "https://app.example.com/{}?token=0123456789abcdef0123456789abcdef.example"

KINDS = (
    MessageKind(name="verify_email", package=_PLACE, example={"link": _EXAMPLE.format("verify-email"), "minutes": 30}),
    MessageKind(name="confirm_email", package=_PLACE, example={"link": _EXAMPLE.format("change-email"), "minutes": 30}),
    MessageKind(name="email_change_asked", package=_PLACE, example={}),
    MessageKind(name="email_changed", package=_PLACE, example={}),
    MessageKind(name="email_taken", package=_PLACE, example={}),
)

TEXTS = {
    "en": {
        "verify": "Confirm your address",
        "verify_why": "If you made an account here, confirm that this address is yours. "
        "If you did not, close this page.",
        "change": "Confirm your new address",
        "change_why": "From then on you sign in with this address:",
        "done": "Done",
        "verified": "Your address is confirmed.",
        "already": "Your address was confirmed before.",
        "changed": "Your account has its new address.",
        "refused": "Not possible",
    },
    "de": {
        "verify": "Adresse bestätigen",
        "verify_why": "Wenn du hier ein Konto angelegt hast, bestätige, dass diese Adresse dir gehört. "
        "Wenn nicht, schließe diese Seite.",
        "change": "Neue Adresse bestätigen",
        "change_why": "Danach meldest du dich mit dieser Adresse an:",
        "done": "Fertig",
        "verified": "Deine Adresse ist bestätigt.",
        "already": "Deine Adresse war schon bestätigt.",
        "changed": "Dein Konto hat jetzt die neue Adresse.",
        "refused": "Nicht möglich",
    },
    "es": {
        "verify": "Confirma tu dirección",
        "verify_why": "Si has creado una cuenta aquí, confirma que esta dirección es tuya. Si no, cierra esta página.",
        "change": "Confirma tu nueva dirección",
        "change_why": "A partir de entonces iniciarás sesión con esta dirección:",
        "done": "Listo",
        "verified": "Tu dirección está confirmada.",
        "already": "Tu dirección ya estaba confirmada.",
        "changed": "Tu cuenta tiene ya la nueva dirección.",
        "refused": "No es posible",
    },
    "fr": {
        "verify": "Confirmez votre adresse",
        "verify_why": "Si vous avez créé un compte ici, confirmez que cette adresse est la vôtre. "
        "Sinon, fermez cette page.",
        "change": "Confirmez votre nouvelle adresse",
        "change_why": "Vous vous connecterez ensuite avec cette adresse :",
        "done": "C'est fait",
        "verified": "Votre adresse est confirmée.",
        "already": "Votre adresse était déjà confirmée.",
        "changed": "Votre compte a maintenant sa nouvelle adresse.",
        "refused": "Impossible",
    },
    "ja": {
        "verify": "メールアドレスの確認",
        "verify_why": "ここでアカウントを作成された場合は、このアドレスがご自身のものであることを確認してください。"
        "心当たりがない場合は、このページを閉じてください。",
        "change": "新しいメールアドレスの確認",
        "change_why": "確認後は、次のアドレスでサインインします。",
        "done": "完了",
        "verified": "メールアドレスを確認しました。",
        "already": "このメールアドレスはすでに確認されています。",
        "changed": "アカウントのメールアドレスを変更しました。",
        "refused": "実行できません",
    },
}
"""What the pages say, by language."""
