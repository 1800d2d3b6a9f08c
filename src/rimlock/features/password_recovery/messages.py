"""What is said about forgotten passwords: the mails, and the page their link leads to.

Threat: a mail that carries a sentence of whoever registered; a page that puts a password in again.
Source: OWASP ASVS 5.0 V1.3.11 (mail), V3.4.3, V6.3.7 (tell of changes); WHATWG HTML (autofill names).
"""

from __future__ import annotations

from html import escape

from rimlock.core.messages import MessageKind

__all__ = ["KINDS", "TEXTS", "password_fields"]

_PLACE = "rimlock.features.password_recovery.templates"
_EXAMPLE = "https://app.example.com/reset-password?token=0123456789abcdef0123456789abcdef.example"

KINDS = (
    MessageKind(name="reset_password", package=_PLACE, example={"link": _EXAMPLE, "minutes": 60}),
    MessageKind(name="password_reset", package=_PLACE, example={"keys": 2, "logins": 1}),
)

TEXTS = {
    "en": {
        "reset": "Choose another password",
        "for": "For the account",
        "password": "New password, at best a few words in a row",
        "everything": "Also end API keys and logins through other services",
        "done": "Done",
        "changed": "Your password is changed, and you are signed out everywhere. Sign in with the new one.",
        "refused": "Not possible",
        "incomplete": "Enter a password.",
    },
    "de": {
        "reset": "Neues Passwort wählen",
        "for": "Für das Konto",
        "password": "Neues Passwort, am besten ein paar Wörter hintereinander",
        "everything": "Auch API-Schlüssel und Anmeldungen über andere Dienste beenden",
        "done": "Fertig",
        "changed": "Dein Passwort ist geändert, und du bist überall abgemeldet. Melde dich mit dem neuen an.",
        "refused": "Nicht möglich",
        "incomplete": "Gib ein Passwort ein.",
    },
    "es": {
        "reset": "Elige otra contraseña",
        "for": "Para la cuenta",
        "password": "Nueva contraseña, mejor unas cuantas palabras seguidas",
        "everything": "Anular también las claves API y los accesos a través de otros servicios",
        "done": "Listo",
        "changed": "Tu contraseña ha cambiado y se han cerrado todas las sesiones. Inicia sesión con la nueva.",
        "refused": "No es posible",
        "incomplete": "Escribe una contraseña.",
    },
    "fr": {
        "reset": "Choisissez un autre mot de passe",
        "for": "Pour le compte",
        "password": "Nouveau mot de passe, de préférence quelques mots à la suite",
        "everything": "Révoquer aussi les clés API et les connexions par d'autres services",
        "done": "C'est fait",
        "changed": "Votre mot de passe est changé et toutes vos sessions sont fermées. Connectez-vous avec le nouveau.",
        "refused": "Impossible",
        "incomplete": "Saisissez un mot de passe.",
    },
    "ja": {
        "reset": "新しいパスワードの設定",
        "for": "対象のアカウント",
        "password": "新しいパスワード。いくつかの単語を並べたものをお勧めします",
        "everything": "APIキーと他のサービスによるサインインも無効にする",
        "done": "完了",
        "changed": "パスワードを変更し、すべての端末からサインアウトしました。"
        "新しいパスワードでサインインしてください。",
        "refused": "実行できません",
        "incomplete": "パスワードを入力してください。",
    },
}
"""What the page says, by language."""


def password_fields(texts: dict[str, str], email: str) -> str:
    """Return the fields of the form. The address is there for password managers, and to be read."""
    return (
        f'<label for="email">{escape(texts["for"])}</label>\n'
        f'<input id="email" type="email" autocomplete="username" readonly value="{escape(email)}">\n'
        f'<label for="password">{escape(texts["password"])}</label>\n'
        '<input id="password" name="password" type="password" autocomplete="new-password" required>\n'
        f'<label><input type="checkbox" name="everything" value="yes"> {escape(texts["everything"])}</label>\n'
    )
