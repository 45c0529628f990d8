"""The processes: one package per service, and the chassis that all share."""
