"""Approvals over HTTP: a server that sends requests out, and takes the answers as callbacks.

uvicorn examples.webhook_server:app --port 8000
curl -X POST http://localhost:8000/test/request-approval
curl -X POST -H 'content-type: application/json' -d '{"approved": true}' 'URL from the console'
"""

from fastapi import BackgroundTasks, FastAPI, HTTPException
from pydantic import BaseModel, StrictBool

from sayso import Action, RiskClass
from sayso.backends import WebhookBackend
from sayso.domain.approvals import ApprovalRequest


async def send(request: ApprovalRequest, callback_id: str, callback_url: str) -> None:
    """Post it to Slack, Telegram or wherever people are; here it goes to the console."""
    print(f"{request.format_for_display()}\nAnswer to: {callback_url}", flush=True)


app = FastAPI()
backend = WebhookBackend(send, callback_base_url="http://localhost:8000/callback")


class Answer(BaseModel):
    approved: StrictBool  # the text "false" is no answer
    reason: str = ""
    user: str = "unknown"


@app.post("/callback/{callback_id}")
async def callback(callback_id: str, answer: Answer, expires: str = "", signature: str = ""):
    if not await backend.verify_callback(callback_id, expires, signature):
        raise HTTPException(403, "The address is not signed by this server, or has expired")
    by = f"webhook:{answer.user}"
    if not await backend.handle_callback(callback_id, answer.approved, answer.reason, by):
        raise HTTPException(404, "Callback ID not found or expired")
    return {"status": "ok", "approved": answer.approved}


@app.get("/pending")
async def pending():  # an id alone answers nothing: it takes the signed address
    found = [(id_, request.action) for id_, request in backend.get_pending_requests()]
    rows = [{"callback_id": i, "tool": a.tool_name, "risk": a.risk_class} for i, a in found]
    return {"count": len(rows), "pending": rows}


async def ask() -> None:
    args = {"recipient": "alice@example.com"}
    action = Action(tool_name="send_email", tool_args=args, risk_class=RiskClass.HIGH)
    said = await backend.request_approval(ApprovalRequest(run_id="test", action=action))
    print(f"{'Approved' if said.approved else 'Rejected'} by {said.decided_by}: {said.reason}")


@app.post("/test/request-approval")
async def request_approval(tasks: BackgroundTasks):
    tasks.add_task(ask)
    return {"status": "pending", "message": "Answer to the address on the console."}
