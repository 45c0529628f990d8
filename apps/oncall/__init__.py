"""The on-call service: alarms become incidents, and a person is told until one answers."""
