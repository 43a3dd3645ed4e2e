"""The load generator: a process of its own, which reads one job and tells what it measured.

It has to be much faster than what it measures; the share of its core that it used is part of the
result.

    python -m bench.load < job.json > result.json
"""
