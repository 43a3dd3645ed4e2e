"""hitloop: `PersistentWebhookBackend` with its PostgreSQL and its Redis store, in this process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hitloop import Action, ApprovalRequest, Decision
from hitloop.backends.persistent_webhook import PersistentWebhookBackend
from hitloop.persistence import PostgresApprovalStore, RedisApprovalStore

from bench.peers.driving import Job, main
from bench.questions import question

Asked = tuple[str, asyncio.Task[Decision]]


class Hitloop:
    """Asks by `request_approval`, which waits; answers by `handle_callback`.

    The channel is a function that does nothing: it is called when the record is in the store.
    """

    def __init__(self, store: PostgresApprovalStore | RedisApprovalStore) -> None:
        self._backend = PersistentWebhookBackend(self._send, store)
        self._sent: dict[str, asyncio.Future[str]] = {}
        self._actions = [_action(number) for number in range(64)]

    async def ask(self, number: int) -> Asked:
        """Ask; kept once hitloop hands it to its channel."""
        action = self._actions[number % 64].model_copy(update={"id": f"action-{number}"})
        request = ApprovalRequest(
            run_id=f"run-{number}", action=action, policy_name="risk", policy_reason="high risk"
        )
        sent = self._sent[action.id] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._backend.request_approval(request, f"thread-{number}"))
        return await sent, task

    async def answer(self, key: Asked) -> None:
        """Call back; the coroutine that asked goes on in this same process."""
        callback_id, task = key
        if not await self._backend.handle_callback(callback_id, True, "Looks right.", "human"):
            raise RuntimeError("hitloop does not know the callback")
        if not (await task).approved:
            raise RuntimeError("hitloop tells no")

    async def _send(self, request: ApprovalRequest, callback_id: str, _: str) -> None:
        self._sent.pop(request.action.id).set_result(callback_id)


def _action(number: int) -> Action:
    asked = json.loads(question(number))
    return Action(**asked["action"])


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Hitloop]:
    """On the store that the address names."""
    if job["address"].startswith("redis:"):
        store = await RedisApprovalStore.from_url(job["address"])
    else:
        store = await PostgresApprovalStore.from_conn_string(job["address"])
    await store.setup()
    yield Hitloop(store)


if __name__ == "__main__":
    main(opened)
