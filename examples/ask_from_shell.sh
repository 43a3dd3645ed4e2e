#!/usr/bin/env bash
# A script that goes on only after a yes: exit status 0 is approved, 1 is not, 2 is an error.
set -euo pipefail

deploy() { echo "deploying $1"; }

sayso ask "Deploy checkout 2.1.0 to production?" \
  --tool deploy_service --args '{"service": "checkout", "version": "2.1.0"}' \
  --risk high --client ci-pipeline --timeout 600 &&
  deploy "checkout 2.1.0"

window=$(sayso ask "When may the maintenance window be?" --input)
echo "the window is: $window"
