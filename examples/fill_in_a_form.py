"""Ask for what only a person knows, as a form; the answer fits the schema or is not taken."""

from sayso import Client, Status

FORM = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date", "title": "Day"},
        "hours": {"type": "integer", "title": "Length in hours", "minimum": 1, "maximum": 8},
        "region": {"type": "string", "enum": ["eu", "us"], "title": "Region"},
        "notify_customers": {"type": "boolean", "title": "Tell the customers", "default": True},
    },
    "required": ["day", "hours", "region"],
}

with Client() as client:
    request = client.ask("When may the maintenance window be?", schema=FORM)

if request.status is Status.ANSWERED:
    for name, value in request.answer.items():
        print(f"{name}: {value}")
else:
    print(f"no window: {request.status} {request.reason}")
