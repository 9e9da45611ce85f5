"""The worker room: joins engine and store. RQ jobs in, events and messages out. Nothing imports it."""
