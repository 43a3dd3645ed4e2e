#!/usr/bin/env bash
# Run a command only if a person approves it, exactly as approved, and have the same remembered.
set -euo pipefail

# Asks, waits, runs, and reports the exit status; 77 means that it was not approved.
sayso run --risk medium --rationale "The release is built" -- echo "uploading release 2.1.0" ||
  echo "exit status $?"

# From now on the same command in this folder runs without asking, three times within an hour.
sayso grants give run --equals 'command=["echo","checking"]' --equals "directory=$PWD" \
  --uses 3 --seconds 3600 >/dev/null
sayso run -- echo "checking"

sayso grants list
