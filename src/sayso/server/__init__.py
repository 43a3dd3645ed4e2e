"""HTTP: the wire of Sayso and of Loopgate, the live streams, and the inbox."""
