"""What a program's runs did, kept for measuring and looking up.

logger      TelemetryLogger: events into a file or database
several     one telemetry that passes on to several
otel        the same as spans, for OpenTelemetry (the extra `otel`)
payloads    what stands in each event
redaction   which arguments are not kept
guard       what keeps a telemetry from failing its caller
writer      the thread that writes
base        the port of what it writes to: sqlite, postgres, json_lines
"""

from sayso.telemetry.logger import TelemetryLogger
from sayso.telemetry.several import Several

__all__ = ["Several", "TelemetryLogger"]
