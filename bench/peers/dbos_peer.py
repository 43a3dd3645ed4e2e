"""DBOS: a workflow for each question, which waits in `recv`; on PostgreSQL and SQLite."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS, DBOSConfig

from bench.peers.driving import Job, main
from bench.questions import question

_TOPIC = "answer"


@DBOS.workflow()
async def approval(asked: dict[str, Any]) -> bool:
    """Wait for a person's answer."""
    answer = await DBOS.recv_async(_TOPIC, timeout_seconds=300)
    return bool(answer["approved"])


class Dbos:
    """Asks by starting a workflow, answers by sending it a message, with all defaults of DBOS."""

    def __init__(self) -> None:
        self._asked = [json.loads(question(number)) for number in range(64)]

    async def ask(self, number: int) -> Any:
        """Start the workflow; it is kept once that returns."""
        return await DBOS.start_workflow_async(approval, self._asked[number % 64])

    async def answer(self, key: Any) -> None:
        """Send the answer; the workflow goes on, and ends."""
        await DBOS.send_async(key.get_workflow_id(), {"approved": True}, topic=_TOPIC)
        if not await key.get_result():
            raise RuntimeError("DBOS tells no")


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Dbos]:
    """On the database that the address names."""
    address = job["address"]
    if not address.startswith("postgresql:"):
        address = f"sqlite:///{address}"
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": address,
        "log_level": "ERROR",
        "run_admin_server": False,
    }
    DBOS(config=config)
    await asyncio.to_thread(DBOS.launch)
    yield Dbos()


if __name__ == "__main__":
    main(opened)
