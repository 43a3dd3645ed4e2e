"""Worlds to try oversight in: a task is drawn, tools do it, and it is known whether it was done.

base            the port
email_draft     send an e-mail to the right person
record_update   change the right field of the right customer
"""

from sayso.lab.scenarios.base import Scenario, ScenarioConfig, ValidationResult
from sayso.lab.scenarios.email_draft import EmailDraftScenario
from sayso.lab.scenarios.record_update import RecordUpdateScenario

__all__ = [
    "EmailDraftScenario",
    "RecordUpdateScenario",
    "Scenario",
    "ScenarioConfig",
    "ValidationResult",
]
