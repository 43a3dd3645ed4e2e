"""Let a person choose; each option says whether choosing it lets the agent go on."""

from sayso import Client

with Client() as client:
    request = client.ask(
        "How shall checkout 2.1.0 go out?",
        options=[
            {"label": "Canary, 10 % first", "value": "canary", "approves": True},
            {"label": "All at once", "value": "all", "approves": True},
            {"label": "Hold the release", "value": "hold", "approves": False},
        ],
        metadata={"tests_passed": 847, "error_budget_left": "62%"},
    )

if request.approved:
    print(f"rolling out: {request.answer}")
else:
    print(f"staying where we are: {request.answer or request.status}")
