#!/usr/bin/env bash
# Follow what happens with curl alone: one JSON object for each event, from the live stream.
set -euo pipefail
server=${SAYSO_URL:-http://localhost:8080}

# A question, so that there is something to see.
curl --silent --fail --output /dev/null "$server/api/v1/requests" \
  --json '{"message": "Is anybody watching?"}'

# after=0 begins at the start of the log; without it the stream begins now. Stops after 2 seconds.
curl --silent --no-buffer --max-time "${SECONDS_TO_WATCH:-2}" "$server/api/v1/events?after=0" |
  sed -un 's/^data: //p' || [ "${PIPESTATUS[0]}" = 28 ]
