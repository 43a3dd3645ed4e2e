"""The ledger: a signed hash chain over the log, made beside the hot path, and checked offline.

blocks        the chain and what is signed; pure
keys          the signing key, and the one that follows it
sealer        follows the log and signs blocks
verify        what does not fit, and where; over a database or a bundle
bundle        evidence in a file
stories       one request: its events, hashes, block and signature
retention     what may go: arguments by rule, closed requests and old events by date
"""
