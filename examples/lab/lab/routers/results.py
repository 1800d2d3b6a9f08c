"""The WebSocket on which results arrive as they are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool

from lab import queries
from lab.database import open_session
from lab.live import FeedDep, Subscription
from lab.queries import AnalysisFilter
from lab.schemas import AnalysisOut

router = APIRouter(prefix="/ws")


@router.websocket("/results")
async def watch_results(websocket: WebSocket, feed: FeedDep, latest: Annotated[int, Query(ge=0, le=100)] = 10) -> None:
    """Send the `latest` results at once, then every new one. What the client says is ignored."""
    await websocket.accept()
    # Subscribed before the snapshot is read: a result may arrive twice, but none is missed.
    with feed.subscribe() as subscription:
        newest = await run_in_threadpool(_newest, latest)
        await websocket.send_json({"type": "snapshot", "analyses": [row.model_dump(mode="json") for row in newest]})
        async with _forwarding(subscription, websocket):
            async for _ in websocket.iter_text():
                pass


@asynccontextmanager
async def _forwarding(subscription: Subscription, websocket: WebSocket) -> AsyncGenerator[None, None]:
    task = asyncio.create_task(_forward(subscription, websocket))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _forward(subscription: Subscription, websocket: WebSocket) -> None:
    # The client may go while a message is on its way; the reading side notices and ends the connection.
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await websocket.send_json(await subscription.next())


def _newest(count: int) -> list[AnalysisOut]:
    with open_session() as session:
        return queries.latest(session, AnalysisFilter(), count)
