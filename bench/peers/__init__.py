"""Peers: what others give who pause a program until a person has answered.

driving            the same load for each of them, and for the product
dbos_peer          DBOS: a workflow that waits in `recv`
hitloop_peer       hitloop: its PersistentWebhookBackend
langgraph_peer     LangGraph: `interrupt()`, and `Command(resume=...)`
sayso_peer         the product, over HTTP
gating             the same measurement for both gates: sayso_gate and hitloop_gate
contenders         who takes part, and what each does and does not do
environment        installs the peers' packages into .tools/peers, when they are asked for

Each `*_peer` is a process of its own. The others' run on the Python of .tools/peers; they,
`driving` and `gating` import nothing of the product, nor of the rest of the bench.
"""
