"""The host's table stays the host's: nothing is added to it, and it is the same when ours are gone."""

from __future__ import annotations

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from argon2 import PasswordHasher as PlainArgon2
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mapped_users.hosts import (
    ALL,
    BETTER,
    GOOD,
    GUID,
    bearer,
    fastapi_users,
    fitted,
    launch,
    made,
    names,
    number,
    row_of,
    seal,
    signed_in,
    template,
    visiting,
)
from migrations.neighbourhood import on, tables
from rimlock import ConfigurationError, MappedUsers, migrations
from rimlock.core.mapped_columns import moment, seconds
from rimlock.core.mapped_keys import key_of
from rimlock.core.principal import Principal
from rimlock.owning import declare, owned

pytestmark = [pytest.mark.req("N1", "L2"), pytest.mark.anyio]
each_host = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


@each_host
async def test_up_and_down_leave_the_hosts_table_as_it_was(database_url, make):
    """Two hundred users: sign-ins and a role change no byte of theirs, and no column, index or row is added."""
    host = make()
    await made(database_url, host, [host.row(n) for n in range(200)])
    before, shape = await seal(database_url, host), await on(database_url, lambda one: shapes(one, host))
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        for n in (3, 17, 150):
            assert (await signed_in(client, f"user{n}@example.com")).status_code == 200
        listed = await client.get("/auth/me", headers=bearer(await signed_in(client, "user3@example.com")))
        assert listed.status_code == 200
    assert before[0] == 200
    assert await seal(database_url, host) == before
    assert await on(database_url, lambda one: shapes(one, host)) == shape
    await migrations.downgrade(database_url, "base")
    assert await on(database_url, tables) >= names(host)
    assert not {name for name in await on(database_url, tables) if name.startswith("auth_")}
    assert await seal(database_url, host) == before
    assert await on(database_url, lambda one: shapes(one, host)) == shape
    await migrations.upgrade(database_url)
    assert await seal(database_url, host) == before


def shapes(connection, host):
    """Return columns and indexes of the host's tables, as the database tells them."""
    inspector = inspect(connection)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            sorted(str(index["name"]) for index in inspector.get_indexes(name)),
            sorted(str(key["referred_table"]) for key in inspector.get_foreign_keys(name)),
        )
        for name in names(host)
    }


@pytest.mark.parametrize("make", [fastapi_users, template, launch], ids=lambda make: make.__name__)
async def test_the_hosts_autogenerate_stays_silent(database_url, make):
    """After a whole life with us, its Alembic proposes nothing: not for its table, and not to drop ours."""
    host = make()
    await made(database_url, host, [host.row(1)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        assert (await signed_in(client, "user1@example.com")).status_code == 200

    def proposed(connection):
        context = MigrationContext.configure(connection, opts={"include_name": migrations.include_name})
        return compare_metadata(context, host.table.metadata)

    assert await on(database_url, proposed) == []


@pytest.mark.parametrize("make", [fastapi_users, template], ids=lambda make: make.__name__)
async def test_the_way_back(database_url, make):
    """Rimlock taken out again: who registered or changed a password with us signs in at the host's own login."""
    host = make()
    await made(database_url, host, [host.row(1)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        form = {"current_password": GOOD, "new_password": BETTER}
        headers = bearer(await signed_in(client, "user1@example.com"))
        assert (await client.post("/auth/password", json=form, headers=headers)).status_code == 200
        new = await client.post("/auth/register", json={"email": "ann@example.com", "password": GOOD})
        ann = new.json()["id"]
    await migrations.downgrade(database_url, "base")
    everybody = await on(database_url, lambda one: one.execute(select(host.table)).mappings().all())
    by_id = {str(row["id"]): row for row in everybody}
    assert PlainArgon2().verify(by_id[str(host.key(1))]["hashed_password"], BETTER)
    assert PlainArgon2().verify(by_id[ann]["hashed_password"], GOOD)
    assert by_id[ann]["is_active"] is True
    assert by_id[ann]["is_superuser"] is False


async def test_who_waits_to_be_let_in_is_not_let_in_by_the_host(database_url):
    """With registration by approval the host's column opens to nothing until another password is chosen with us."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, is_superuser=True)])
    app, auth, _ = fitted(database_url, host, registration="approval")
    async with visiting(app, auth) as client:
        ann = (await client.post("/auth/register", json={"email": "ann@example.com", "password": GOOD})).json()["id"]
        kept = (await row_of(database_url, host, auth.context.users.columns.key.value(ann)))["hashed_password"]
        assert re.fullmatch(r"\$2b\$12\$RimlockHasNoPassword\.\.[./A-Za-z0-9]{31}", kept)
        boss = bearer(await signed_in(client, "user1@example.com"))
        assert (await signed_in(client, "ann@example.com")).json()["code"] == "approval_waiting"
        assert (await client.post(f"/auth/admin/users/{ann}/approve", headers=boss)).status_code == 200
        assert (await signed_in(client, "ann@example.com")).status_code == 200


async def test_a_mapped_class_is_read_by_its_attributes(database_url):
    """Attributes name columns that are called otherwise in the database; defaults of the class are used."""

    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "person"
        number: Mapped[int] = mapped_column("nr", primary_key=True)
        address: Mapped[str] = mapped_column("mail", String(200), unique=True)
        secret: Mapped[str] = mapped_column("pw", String(200))
        enabled: Mapped[bool] = mapped_column("on", default=True)
        plan: Mapped[str] = mapped_column(default="free")

    await on(database_url, Base.metadata.create_all)
    host = launch()
    host.users = lambda: MappedUsers(Person, email=Person.address, password="secret", active=Person.enabled)
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        new = await client.post("/auth/register", json={"email": "ann@example.com", "password": GOOD})
        assert new.json()["id"] == "1"
        assert (await signed_in(client, "ANN@example.com")).status_code == 200
    row = await on(database_url, lambda one: one.execute(text("SELECT mail, plan FROM person")).one())
    assert tuple(row) == ("ann@example.com", "free")


def test_what_cannot_be_mapped_is_said_at_construction():
    """Each mistake is a ConfigurationError whose sentence names the column and the mend."""
    metadata = MetaData()
    plain = Table(
        "plain", metadata, Column("id", Integer, primary_key=True), Column("email", String), Column("pw", String(60))
    )
    two = Table("two", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
    odd = Table("odd", metadata, Column("id", Numeric, primary_key=True), Column("email", String))
    for given, said in [
        ((plain, {}), "'hashed_password'"),
        ((plain, {"password": "pw"}), "60 characters.*write_back=False"),
        ((plain, {"password": None, "username": "nick"}), "'nick'.*username"),
        ((plain, {"password": None, "email": "mail"}), "'mail'"),
        ((plain, {"password": None, "deleted": plain.c.email == "gone"}), "when_deleted"),
        ((plain, {"password": None, "defaults": {"nothing": 1}}), "'nothing'"),
        ((two, {"password": None}), "one primary key"),
        ((odd, {"password": None}), "type"),
        (("plain", {}), "Table"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            MappedUsers(given[0], **given[1])
    MappedUsers(plain, password="pw", write_back=False)


def test_a_key_is_the_text_we_write_and_no_other():
    """Every key comes back as itself, and each has one text."""
    big = Column("id", BigInteger, primary_key=True)
    for column, value, shown in [
        (Column("id", Integer), 7, "7"),
        (big, 2**63 - 1, str(2**63 - 1)),
        (Column("id", GUID), number(1), str(number(1))),
        (Column("id", String(10)), "Ann", "Ann"),
    ]:
        key = key_of(column)
        assert key.text(value) == shown
        assert key.value(shown) == value
    assert key_of(big).value(str(2**63)) is None
    for wrong in ("", str(number(1)).upper(), number(1).hex, f"{{{number(1)}}}", f"urn:uuid:{number(1)}"):
        assert key_of(Column("id", GUID)).value(wrong) is None
    assert key_of(Column("id", String(200))).text("x" * 65) is None


def test_moments_are_read_and_written_in_the_form_of_the_column():
    """Numbers, dates and flags, with and without a zone."""
    for column, now, back in [
        (Column("at", Integer), 86_400, 86_400),
        (Column("at", Date), 86_400, 86_400),
        (Column("at", Boolean), 86_400, 0),
    ]:
        assert seconds(moment(column, now)) == back
    assert seconds(None) == 0


@pytest.mark.req("L5", "T6")
@pytest.mark.parametrize("make", [fastapi_users, template, launch], ids=lambda make: make.__name__)
async def test_rows_are_narrowed_by_the_hosts_own_keys(database_url, make):
    """`owned` compares a column of the key's own type with the user's id; a malformed id is nobody's."""
    host = make()
    column = next(one.name for one in host.beside.c if one.foreign_keys)
    other = next(one for one in host.beside.c if one.name not in {"id", column})
    await made(database_url, host, [host.row(1), host.row(2)])
    rows = [{"id": n, column: host.key(n), other.name: f"of {n}"} for n in (1, 2)]
    await on(database_url, lambda one: one.execute(insert(host.beside), rows))
    declare(host.beside, column=column)
    key = host.text(host.key(2))
    principal = Principal(subject=key, user_id=key, kind="token", credential_id="s")
    found = await on(database_url, lambda one: one.execute(owned(select(other), principal)).scalars().all())
    assert found == ["of 2"]
