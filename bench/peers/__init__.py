"""Peers: what others give who pause a program until a person has answered.

driving            the same load for each of them, and for the product
dbos_peer          DBOS: a workflow that waits in `recv`
hitloop_peer       hitloop: its PersistentWebhookBackend
hitloop_gate       hitloop: its gate around a call that needs no approval
langgraph_peer     LangGraph: `interrupt()`, and `Command(resume=...)`
sayso_peer         the product, over HTTP
contenders         who takes part, and what each does and does not do
environment        installs the peers' packages into .tools/peers, when they are asked for

Each `*_peer` is a process of its own. The others' run on the Python of .tools/peers; they and
`driving` import nothing of the product, nor of the rest of the bench.
"""
