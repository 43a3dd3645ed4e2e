"""What is asked: about 1 KB of JSON, the same for the product, the reference and the peers."""

import hashlib
import json


def question(number: int) -> bytes:
    """A question with an action, as an agent that deploys would put it."""
    image = hashlib.sha256(b"%d" % number).hexdigest()
    return json.dumps(
        {
            "message": f"Deploy build {1000 + number} of the billing service to production?",
            "session_id": f"session-{number % 16}",
            "client_id": "release-agent",
            "priority": "high",
            "action": {
                "tool_name": "deploy",
                "tool_args": {
                    "service": "billing",
                    "version": f"2.{number}.0",
                    "region": "eu-central-1",
                    "replicas": 6,
                    "strategy": {"kind": "rolling", "max_unavailable": 1, "pause_seconds": 30},
                    "image": f"registry.internal/billing@sha256:{image}",
                },
                "risk_class": "high",
                "side_effects": ["restarts 6 pods", "runs 2 migrations"],
                "rationale": "The fix for the rounding error in invoices is in this build. All 412"
                " tests pass, and it has been on staging since yesterday without an error.",
            },
            "metadata": {
                "ticket": f"BILL-{4000 + number}",
                "requested_by": "nightly release run",
                "diff": f"https://git.internal/billing/compare/v2.{number - 1}.0...v2.{number}.0",
                "rollback": "helm rollback billing 41 restores the version before within two"
                " minutes, as tried on staging",
                "on_call": "payments-primary",
                "tests_passed": 412,
                "staging_hours": 21.5,
                "error_rate": 0.0002,
            },
        },
        separators=(",", ":"),
    ).encode()
