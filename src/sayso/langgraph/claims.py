"""Who resumes a thread: one, whoever else tries at the same time.

A claim is a write of its own beside the checkpoint that waits. Of two writes under the same name
LangGraph's savers keep the first (in PostgreSQL by `ON CONFLICT DO NOTHING`, as of any channel but
their own few), so whoever reads the own word back is the one. It is in the same database as the
thread, and as durable.
"""

import asyncio
from typing import Any

from langchain_core.runnables import RunnableConfig

_CHANNEL = "sayso_claim"


class Claims:
    """Claims in a graph's own checkpointer.

    Args:
        saver: the checkpointer.
        in_threads: whether it knows no event loop.
    """

    def __init__(self, saver: Any, *, in_threads: bool) -> None:
        self._saver = saver
        self._in_threads = in_threads

    async def take(self, config: RunnableConfig, name: str, word: str) -> bool:
        """Whether `word` is the one that holds the claim.

        Args:
            config: of the checkpoint that waits.
            name: of the claim.
            word: whoever claims; different each time.
        """
        await self._put(config, name, word)
        return (await self._words(config)).get(name) == word

    async def next(self, config: RunnableConfig, name: str) -> str:
        """The name under which a claim is taken over from whoever holds it now."""
        words = await self._words(config)
        while name in words:
            name = f"{name}:{words[name]}"
        return name

    async def _put(self, config: RunnableConfig, name: str, word: str) -> None:
        writes = [(_CHANNEL, word)]
        if self._in_threads:
            await asyncio.to_thread(self._saver.put_writes, config, writes, name)
        else:
            await self._saver.aput_writes(config, writes, name)

    async def _words(self, config: RunnableConfig) -> dict[str, str]:
        if self._in_threads:
            found = await asyncio.to_thread(self._saver.get_tuple, config)
        else:
            found = await self._saver.aget_tuple(config)
        writes: list[tuple[str, str, Any]] = (found and found.pending_writes) or []
        return {task_id: word for task_id, channel, word in writes if channel == _CHANNEL}
