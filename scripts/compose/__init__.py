"""The platform in containers on one machine, as `environments/local/compose.yaml` has it."""
