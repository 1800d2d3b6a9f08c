"""A host that runs procrastinate sends our messages by its jobs."""

from __future__ import annotations

import procrastinate
import pytest
from fastapi import FastAPI

from features.mail.post_office import installed, mail_server, post, rows, running, told
from rimlock.features.mail import MailFeature, ProcrastinateJobs

pytestmark = [pytest.mark.req("F3"), pytest.mark.anyio]


def fitted(url, mail_url, clock=None):
    """Return an installation on an application, and the host's App, in one database."""
    jobs = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    auth, events = installed(url, mail_url, mail=MailFeature(jobs=ProcrastinateJobs(jobs)), clock=clock)
    auth.install(FastAPI())
    return jobs, auth, events


async def work_off(jobs):
    """Run what waits in the queue, as the host's worker does."""
    await jobs.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False, delete_jobs="always")


async def deferred(jobs, wanted):
    """Wait until so many jobs wait; return them."""
    import asyncio

    async with asyncio.timeout(20):
        while len(found := list(await jobs.job_manager.list_jobs_async(status="todo"))) < wanted:  # noqa: ASYNC110 - a task of ours does it
            await asyncio.sleep(0.02)
    return found


async def test_a_job_sends_the_message(postgres_url):
    """Posting defers a job with the id alone; the host's worker sends it, and no worker of ours does."""
    async with mail_server() as (sink, url):
        jobs, auth, events = fitted(postgres_url, url)
        async with jobs.open_async():
            await jobs.schema_manager.apply_schema_async()
            async with running(auth):
                await post(auth)
                (job,) = await deferred(jobs, 1)
                (row,) = await rows(auth)
                assert (job.task_name, job.task_kwargs) == ("rimlock.mail.send", {"message_id": row["id"]})
                assert sink.mails == []
                await work_off(jobs)
                assert (await rows(auth))[0]["sent_at"] is not None
                assert told(events, "MessageSent")
    assert [mail["To"] for mail in sink.mails] == ["ann@example.com"]


async def test_two_jobs_for_one_message_send_it_once(postgres_url):
    """A job that runs twice, as jobs may, finds nothing to do."""
    async with mail_server() as (sink, url):
        jobs, auth, _ = fitted(postgres_url, url)
        async with jobs.open_async():
            await jobs.schema_manager.apply_schema_async()
            async with running(auth):
                await post(auth)
                (job,) = await deferred(jobs, 1)
                await jobs.configure_task("rimlock.mail.send").defer_async(**job.task_kwargs)
                await work_off(jobs)
    assert len(sink.mails) == 1


async def test_what_no_job_says_is_found_by_the_next_look(postgres_url, clock, caplog):
    """An App that is not open, or a process that dies after its commit, costs a minute and no message."""
    async with mail_server() as (sink, url):
        jobs, auth, _ = fitted(postgres_url, url, clock)
        async with running(auth):
            await post(auth)
        async with jobs.open_async():
            await jobs.schema_manager.apply_schema_async()
            async with running(auth):
                await jobs.configure_task("rimlock.mail.look").defer_async(timestamp=int(clock()))
                await work_off(jobs)
    assert len(sink.mails) == 1
    assert "background work failed: AppNotOpen" in caplog.text
