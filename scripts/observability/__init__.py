"""What is promised, as data, and the Prometheus rules and Grafana dashboards made of it."""
