# The cluster of docs/platform.md: both environments' namespaces and the platform. Numbers of accounts and of GitHub are
# examples, to be replaced; no secret belongs here (TF_VAR_rate_limit_passwords).
installation       = "production"
account_id         = "111122223333"
region             = "eu-central-1"
zones              = ["eu-central-1a", "eu-central-1b"]
network            = "10.40.0.0/16"
nat_per_zone       = true
environments       = ["staging", "production"]
kubernetes_version = "1.34"
administrators     = ["arn:aws:iam::111122223333:role/platform-administrator"]
api_server_readers = []

serving_nodes  = { instance_types = ["m7i.large", "m6i.large"], min = 3, max = 6 }
training_nodes = { instance_types = ["c7i.xlarge", "c6i.xlarge", "m7i.xlarge", "m6i.xlarge"], min = 1, max = 3 }

database    = { instance_class = "db.m7g.large", storage = 100, max_storage = 500, standby = true, backup_days = 35 }
rate_limits = { node_type = "cache.t4g.small", replica = true }

rate_limit_passwords_version = 1

github = {
  owner         = "shop"
  owner_id      = "1234567"
  repository    = "purchase-prediction"
  repository_id = "987654321"
}

alarm_addresses = ["oncall@example.com"]
monthly_budget  = 1200
