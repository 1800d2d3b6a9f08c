"""The reference is made out of the code, is current, and leaves nothing out."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

import pytest

from docs.pages import ROOT


@pytest.fixture(scope="module")
def made(generate) -> dict[str, str]:
    """The pages as the code has them now."""
    return generate.pages()


def test_the_pages_are_current(made):
    """What is in the repository is what the generator makes: run `make docs` after a change."""
    kept = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs/errors").glob("*.md")}
    assert {name for name in made if name.startswith("errors/")} == kept
    stale = [name for name, text in made.items() if (ROOT / "docs" / name).read_text(encoding="utf-8") != text]
    assert not stale


def test_every_setting_is_documented(made):
    """Each field of Settings has a row with its environment variable."""
    from rimlock import Settings

    missing = [
        one.name for one in fields(Settings) if f"`RIMLOCK_{one.name.upper()}`" not in made["reference/settings.md"]
    ]
    assert not missing


def test_every_code_and_event_is_documented(generate, made):
    """Each error code has a page and a row, each event a section."""
    from rimlock.core.errors import REGISTRY
    from rimlock.core.events import EVENTS

    codes = [code for code, kind in REGISTRY.items() if kind.__module__.startswith("rimlock.")]
    assert len(codes) > 20
    assert not [code for code in codes if f"errors/{code}.md" not in made]
    assert not [code for code in codes if f"[`{code}`]" not in made["reference/errors.md"]]
    names = [name for name, kind in EVENTS.items() if kind.__module__.startswith("rimlock.")]
    assert not [name for name in names if f"\n## {name}\n" not in made["reference/events.md"]]


def test_every_command_and_route_is_documented(generate, made):
    """Each command has a section, and so has each route the application serves under the prefix."""
    from fastapi import FastAPI

    from rimlock import Rimlock, Settings

    assert not [
        path for path in generate.commands() if f"\n## rimlock {' '.join(path)}\n" not in made["reference/cli.md"]
    ]
    auth, app = Rimlock(Settings(secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"])), FastAPI()
    auth.install(app)
    routes = [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]
    assert routes
    assert not [route for route in routes if f"\n## {' '.join(route)}\n" not in made["reference/http.md"]]


def test_a_setting_without_a_description_fails(generate):
    """A field under which nothing stands is found by its absence."""

    @dataclass
    class Planted:
        told: int = 1
        """What it means."""
        silent: int = 2

    assert generate.field_meanings(Planted) == {"told": "What it means."}


def test_advice_and_codes_have_to_match(generate, tmp_path):
    """A code without advice fails the generation, and so does advice for a code that is none."""
    advice = (ROOT / "docs/errors/advice.toml").read_text(encoding="utf-8")
    (tmp_path / "errors").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "HERE", tmp_path)
        (tmp_path / "errors/advice.toml").write_text(advice.replace("\nbusy =", "\nbusyness ="), encoding="utf-8")
        with pytest.raises(generate.Undescribed, match="busyness"):
            generate.error_pages()
        (tmp_path / "errors/advice.toml").write_text('busy = "Wait."', encoding="utf-8")
        with pytest.raises(generate.Undescribed, match="account_disabled"):
            generate.error_pages()


def test_generating_twice_gives_the_same(generate, made):
    """Nothing in a page depends on the order of a set, the hour or the machine."""
    assert generate.pages() == made
    assert not [name for name, text in made.items() if str(ROOT) in text or "0x" in text]


def test_the_generator_needs_no_module_of_a_host(generate):
    """It is run from the repository's root and leaves the import path as it was."""
    assert str(ROOT / "docs") not in sys.path
    assert generate.__file__ == str(ROOT / "docs" / "generate.py")
