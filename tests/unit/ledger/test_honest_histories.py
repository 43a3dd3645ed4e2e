"""Whatever people honestly do, and whatever is retired meanwhile: the check finds nothing."""

import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import small_ledger as small

from sayso.broker import Broker
from sayso.broker.accounts import Accounts
from sayso.broker.keys import KeyDraft
from sayso.domain.accounts import Plane, Principal, Role, Strength
from sayso.domain.blocks import Block
from sayso.domain.patterns import Pattern, StandingDraft
from sayso.domain.requests import ActionDraft
from sayso.domain.rules import ReviewRule, Rule
from sayso.domain.stops import StopDraft, StopKind
from sayso.domain.users import LOCAL_PERSON
from sayso.errors import RefusedError
from sayso.ledger.kept import KeptHead
from sayso.ledger.retention import retire
from sayso.ledger.sealer import Sealer
from sayso.ledger.verify import Verdict
from sayso.signals.memory import MemorySignal
from sayso.stores.sqlite import SqliteStore
from sayso.testing import AGENT, FakeClock, make_draft

pytestmark = pytest.mark.anyio

ROOT = Principal(
    plane=Plane.PERSON, id=LOCAL_PERSON, name="Root", strength=Strength.LOGIN, role=Role.ADMIN
)
TENANTS = ("default", "elsewhere")


class Town:
    """A store with all that changes what people and programs may do."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path = path
        self.clock = FakeClock()
        self.store = SqliteStore(path)
        self.broker = Broker(self.store, MemorySignal(), self.clock)
        self.accounts = Accounts(self.broker)
        self.dice = random.Random(seed)
        self.users: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}

    async def seal(self) -> None:
        while await Sealer(self.store, small.KEYS, self.clock).seal():
            pass

    async def retire(self) -> int:
        """All that is signed by now, so that the log begins with what comes now."""
        await self.seal()
        self.clock.advance(1)
        return (
            await retire(self.store, self.clock.now(), keys=small.KEYS, clock=self.clock)
        ).events

    async def verified(self) -> Verdict:
        await self.seal()
        return await small.verified(self.path)

    async def user(self, tenant: str = "default") -> str:
        name = f"u{len(self.users[tenant])}-{tenant}"
        role = self.dice.choice(list(Role))
        user = await self.accounts.users.add(name, by=ROOT, role=role, tenant=tenant)
        self.users[tenant].append(user.id)
        return user.id

    async def give(self, by: Principal = ROOT, **limits: Any) -> str:
        equals = Pattern(equals=self.dice.choice([True, 1, "a", None, {"z": 1, "a": [0.5]}]))
        args = {"x": equals, "n": Pattern(max=9)} if self.dice.random() < 0.5 else {}
        draft = StandingDraft(tool_name="t", args=args, **limits)
        return (await self.broker.standing.give(draft, by=by)).id

    async def happen(self) -> None:
        """One thing; what the rules refuse does not happen."""
        dice, broker, accounts = self.dice, self.broker, self.accounts
        tenant = dice.choice(TENANTS)
        by = msgspec.structs.replace(ROOT, tenant=tenant)
        agent = msgspec.structs.replace(AGENT, tenant=tenant)
        who = dice.choice(self.users[tenant])
        group, rule = dice.choice("gh"), dice.choice("rs")
        stop = StopDraft(
            kind=StopKind.CLIENT, value=dice.choice("cd"), reason=dice.choice(["", "x"])
        )
        keys = await accounts.keys.find(by=by)
        key = dice.choice(keys).id if keys else ""
        grants = await broker.standing.find(by=by)
        grant = dice.choice(grants).id if grants else ""
        limits = {"uses": dice.choice([None, 1, 3]), "seconds": dice.choice([60, 10**6])}
        does: list[Callable[[], Awaitable[object]]] = [
            lambda: self.user(tenant),
            lambda: accounts.users.change(who, by=by, role=dice.choice(list(Role))),
            lambda: accounts.users.change(who, by=by, disabled=dice.random() < 0.5, name="New"),
            *[lambda: accounts.groups.add(group, who, by=by)] * 3,
            *[lambda: accounts.groups.remove(group, who, by=by)] * 3,
            lambda: accounts.keys.create(KeyDraft(label="k"), by=by),
            lambda: accounts.keys.rotate(key, by=by),
            lambda: accounts.keys.revoke(key, by=by),
            lambda: broker.rules.put(ReviewRule(name=rule, tools=("z",), rule=Rule()), by=by),
            lambda: broker.rules.remove(rule, by=by),
            lambda: broker.stops.set(stop, by=by),
            lambda: broker.stops.lift(f"client:{stop.value}", by=by),
            *[lambda: self.give(by, **limits)] * 2,
            lambda: broker.standing.revoke(grant, by=by),
            *[lambda: broker.submit(make_draft(action=ActionDraft(tool_name="t")), by=agent)] * 3,
        ]
        with contextlib.suppress(RefusedError):
            await dice.choice(does)()
        self.clock.advance(dice.choice([0, 1, 100, 86_400]))


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[Town]:
    town = Town(tmp_path / "sayso.db")
    await town.store.open()
    yield town
    await town.accounts.close()
    await town.store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_no_honest_history_is_found_fault_with_whatever_is_retired_of_it(
    town: Town, seed: int
) -> None:
    town.dice.seed(seed)
    for tenant in TENANTS:
        await town.user(tenant)
    for _ in range(4):
        for _ in range(40):
            await town.happen()
        verdict = await town.verified()
        assert verdict.findings == []
        assert verdict.records > 5
        assert await town.retire() > 0
        verdict = await town.verified()
        assert verdict.findings == []
        assert verdict.retired > 0


async def test_of_a_group_whose_first_events_are_retired_only_what_is_told_counts(
    town: Town,
) -> None:
    groups = town.accounts.groups
    alice, bob, eve = [await town.user() for _ in range(3)]
    for each in (alice, bob):
        await groups.add("team", each, by=ROOT)
    await town.retire()
    await groups.remove("team", bob, by=ROOT)
    assert (await town.verified()).findings == []
    await groups.add("team", eve, by=ROOT)
    small.execute(
        town.path,
        "UPDATE records SET body = replace(body, ?, ?) WHERE kind = 'group'",
        f'"{eve}"',
        f'"{bob}"',
    )
    (finding,) = (await town.verified()).findings
    assert finding.problem.startswith(f"its members is {sorted([alice, bob])}; event ")
    small.execute(town.path, "DELETE FROM records WHERE kind = 'group'")
    (finding,) = (await town.verified()).findings
    assert finding.id == "group default/team"
    assert finding.problem.startswith("it is gone; event ")


class Interrupted(SqliteStore):
    """Where something else is done right after somebody has read the last block."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def last_block(self) -> Block | None:
        last = await super().last_block()
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            await work()
        return last


async def test_a_head_that_another_server_here_keeps_meanwhile_is_no_rollback(
    tmp_path: Path,
) -> None:
    store, kept = Interrupted(tmp_path / "sayso.db"), KeptHead(tmp_path / "ledger.head")
    await store.open()
    await small.add_events(store, [])
    other, mine = (Sealer(store, small.KEYS, FakeClock(), kept) for _ in range(2))

    async def seal() -> None:
        assert await other.seal() == 6
        await other.keep()

    store.meanwhile = seal
    await mine.seal()
    assert await mine.seal() == 0
    await store.close()
    assert kept.read() is not None
    assert (await small.verified(tmp_path / "sayso.db")).ok
