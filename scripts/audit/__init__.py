"""Whether every deployment of an environment can be accounted for."""
