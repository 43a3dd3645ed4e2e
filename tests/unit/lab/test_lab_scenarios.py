"""Worlds to try oversight in: what is right is the task, and nothing else."""

import gc
import sqlite3
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sayso import Action, RiskClass
from sayso.errors import ConfigurationError
from sayso.lab import (
    EmailDraftScenario,
    RecordUpdateScenario,
    Scenario,
    ScenarioConfig,
    ValidationResult,
)
from sayso.lab.injection import InjectionType, inject

BOTH = [EmailDraftScenario, RecordUpdateScenario]


def do(scenario: Scenario, action: Action) -> Any:
    return scenario.get_tools()[action.tool_name](**action.tool_args)


@pytest.mark.parametrize("make", BOTH)
def test_a_task_is_drawn_from_a_seed_and_doing_it_is_right(make: type[Any]) -> None:
    """hitloop 47: tasks came from no seed."""
    scenario = make()
    trials = [scenario.fresh(7) for _ in range(2)]
    tasks = [trial.generate_action() for trial in trials]
    assert tasks[0] == tasks[1] != scenario.fresh(8).generate_action()
    assert str(next(iter(tasks[0].tool_args.values()))) in trials[0].get_task_description()
    assert not trials[0].validate_result(None).success, "Nothing was done yet."
    assert trials[0].validate_result(do(trials[0], tasks[0])).success
    assert not trials[1].validate_result(None).success, "Trials share nothing."
    for world in (*trials, scenario):
        world.close()


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("kind", InjectionType)
def test_whatever_is_made_wrong_is_found_wrong(make: type[Any], kind: InjectionType) -> None:
    """hitloop 42: what the injector put in was not what the scenario took for bad."""
    scenario = make()
    seen = 0
    for seed in range(60):
        trial = scenario.fresh(seed)
        made = inject(trial.generate_action(), Random(seed), (kind,))
        if made.injected:
            seen += 1
            try:
                result = do(trial, made.action)
            except (TypeError, KeyError):
                continue  # it did not even run
            assert not trial.validate_result(result).success, made.action
        trial.close()
    fits = kind is not InjectionType.WRONG_AMOUNT
    other = (
        InjectionType.WRONG_RECORD_ID
        if make is EmailDraftScenario
        else InjectionType.WRONG_RECIPIENT
    )
    assert bool(seen) is (fits and kind is not other)
    scenario.close()


@pytest.mark.parametrize("make", BOTH)
def test_a_wrong_action_is_made_of_the_task_and_its_values_are_among_the_right_ones(
    make: type[Any],
) -> None:
    scenario = make(rng=Random(3))
    right = {
        str(value) for _ in range(300) for value in scenario.generate_action().tool_args.values()
    }
    for _ in range(100):
        wrong = scenario.generate_action(correct=False)
        assert not scenario.validate_result(do(scenario, wrong)).success
        name = "recipient" if make is EmailDraftScenario else "customer_id"
        assert wrong.tool_args[name] in right
        scenario.reset()
    scenario.close()


def test_e_mails_of_trials_leave_no_files_and_its_own_are_gone_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hitloop 52: files piled up in the working directory."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scenario = EmailDraftScenario()
    trial = scenario.fresh(1)
    assert do(trial, trial.generate_action())["file"] is None
    assert list(tmp_path.iterdir()) == []
    written = Path(do(scenario, scenario.generate_action())["file"])
    assert written.exists()
    scenario.close()
    assert list(tmp_path.iterdir()) == []
    do(scenario, scenario.generate_action())
    del scenario, trial
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_in_a_directory_of_ones_own_e_mails_stay_and_nothing_else_is_touched(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mail" / "email_1.json"
    scenario = EmailDraftScenario(output_dir=mine.parent)
    mine.parent.mkdir()
    mine.write_text("mine")
    trial = scenario.fresh(1)
    do(trial, trial.generate_action())
    trial.close()
    scenario.reset()
    scenario.close()
    assert len(list(mine.parent.iterdir())) == 2
    assert mine.read_text() == "mine"


def test_a_database_that_it_did_not_make_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    """hitloop 53: reset() unlinked whatever file it was given."""
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE customers (customer_id TEXT)")
    connection.close()
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but notes\n" * 50)
    for path in (theirs, text):
        before = path.read_bytes()
        with pytest.raises(ConfigurationError, match="cannot use the database"):
            RecordUpdateScenario(db_path=path)
        assert path.read_bytes() == before


def test_its_own_database_is_set_back_in_place(tmp_path: Path) -> None:
    path = tmp_path / "crm.db"
    scenario = RecordUpdateScenario(db_path=path)
    inode, records = path.stat().st_ino, scenario.get_tools()["list_records"]
    before = records()
    do(scenario, scenario.generate_action())
    assert records() != before
    scenario.close()
    again = RecordUpdateScenario(db_path=path)
    assert again.get_tools()["list_records"]() != before
    again.reset()
    assert again.get_tools()["list_records"]() == before
    assert path.stat().st_ino == inode
    trial = again.fresh(1)
    do(trial, trial.generate_action())
    assert again.get_tools()["list_records"]() == before, "A trial has a database of its own."
    trial.close()
    again.close()


def test_the_primary_key_and_unknown_fields_and_records_are_refused() -> None:
    """hitloop 53: update_record rewrote the primary key."""
    scenario = RecordUpdateScenario()
    tools = scenario.get_tools()
    before = tools["list_records"]()
    for customer, field, value, told in (
        ("CUST001", "customer_id", "CUST777", "Invalid field: customer_id"),
        ("CUST001", "email = 'x' --", "y", "Invalid field"),
        ("CUST777", "email", "y", "Customer not found: CUST777"),
        (["CUST001"], "email", "y", "Customer not found"),
        ("CUST001", "email", ["y"], "Invalid value"),
    ):
        done = tools["update_record"](customer, field, value)
        assert done["success"] is False
        assert told in done["error"]
    assert tools["list_records"]() == before
    assert tools["get_record"]("CUST001")["record"]["customer_id"] == "CUST001"
    scenario.close()


def test_threads_may_use_its_database(tmp_path: Path) -> None:
    """hitloop 53: its connection belonged to the thread that made it."""
    scenario = RecordUpdateScenario(db_path=tmp_path / "crm.db")
    update, failed = scenario.get_tools()["update_record"], list[Any]()

    def work(customer: str) -> None:
        for number in range(20):
            done = update(customer, "notes", f"{customer} {number}")
            if not done["success"]:
                failed.append(done)

    threads = [
        threading.Thread(target=work, args=(key,)) for key in scenario.VALID_CUSTOMER_IDS[:4]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = scenario.get_tools()["list_records"]()["records"]
    notes = {record["customer_id"]: record["notes"] for record in records}
    assert failed == []
    assert [notes[key] for key in scenario.VALID_CUSTOMER_IDS[:4]] == [
        f"{key} 19" for key in scenario.VALID_CUSTOMER_IDS[:4]
    ]
    scenario.close()


class Held(Scenario):
    """One that cannot be copied by itself."""

    def __init__(self) -> None:
        super().__init__(ScenarioConfig(scenario_id="held", name="Held"))
        self.lock = threading.Lock()

    @property
    def name(self) -> str:
        return "held"

    def get_tools(self) -> dict[str, Any]:
        return {}

    def generate_action(self, correct: bool = True) -> Action:
        return Action(tool_name="x", risk_class=RiskClass.LOW)

    def validate_result(self, result: Any) -> ValidationResult:
        return ValidationResult(True)


def test_a_scenario_that_cannot_be_copied_says_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"Define fresh\(seed\)"):
        Held().fresh(1)
    assert Held().get_initial_state() == {"scenario_id": "held", "messages": []}
    with pytest.raises(ValueError, match="actions_per_trial"):
        ScenarioConfig(scenario_id="x", name="x", actions_per_trial=0)
