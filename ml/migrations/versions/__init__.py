"""The inbox's migrations; each is one transaction and only adds, unless it says which expand it contracts."""
