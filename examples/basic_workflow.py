"""An agent's actions through a policy, a person and a trace.

python examples/basic_workflow.py          # asks at the terminal
python examples/basic_workflow.py --auto   # asks nobody, and says yes
"""

import sys

from sayso import Action, RiskClass
from sayso.backends import CLIBackend
from sayso.domain.traces import RunMetadata
from sayso.errors import NotApprovedError
from sayso.gate import Gate
from sayso.policies import RiskBasedPolicy
from sayso.telemetry import TelemetryLogger


def search(query: str) -> str:
    return f"three pages about {query}"


def send_email(recipient: str, subject: str) -> str:
    return f"sent {subject!r} to {recipient}"


TOOLS = {"search": search, "send_email": send_email}
PROPOSED = [
    Action(tool_name="search", tool_args={"query": "renewals"}, risk_class=RiskClass.LOW),
    Action(
        tool_name="send_email",
        tool_args={"recipient": "alice@example.com", "subject": "Your renewal"},
        risk_class=RiskClass.HIGH,
        side_effects=("email_sent",),
        rationale="Alice asked for the price.",
    ),
]
RUN = "basic-workflow"

logger = TelemetryLogger()  # in memory; give it a file, and it stays
policy = RiskBasedPolicy(high_risk_tools=["delete_record"])
backend = CLIBackend(auto_approve="--auto" in sys.argv)
gate = Gate(policy, backend, telemetry=logger, session_id=RUN)

logger.log_run_start(RunMetadata(run_id=RUN, scenario_id="basic"))
for action in PROPOSED:
    try:
        print(f"\n{action.tool_name}: {gate.run_sync(action, TOOLS[action.tool_name])}")
    except NotApprovedError as error:
        print(f"\n{action.tool_name}: not run. {error.detail}")
logger.log_run_end(RUN, success=True)

print("\nWhat the trace has:")
for event in logger.get_events(RUN):
    print(f"  {event.event_type}")
logger.close()
