"""Fifty questions at the same time: each wait costs a connection, not a thread."""

import asyncio
import time
from collections import Counter

from sayso import AsyncClient, Request

COUNT = 50


async def review(client: AsyncClient, number: int) -> Request:
    """One question; the others go on meanwhile."""
    return await client.ask(
        f"Publish post {number}?",
        action={"tool_name": "publish_post", "tool_args": {"post_id": number}},
        client_id="editor-agent",
        timeout_seconds=120,
    )


async def main() -> None:
    """Ask all, and count what was decided."""
    began = time.monotonic()
    async with AsyncClient() as client:
        decided = await asyncio.gather(*(review(client, number) for number in range(COUNT)))
    counted = Counter(str(request.status) for request in decided)
    print(f"{dict(counted)} in {time.monotonic() - began:.1f} s")


asyncio.run(main())
