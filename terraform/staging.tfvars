# Where a change of this root or a newer Kubernetes is tried: the same, small, in an account of its own, and no workflow has a
# role there. It has nothing to do with the namespace `staging`, which is in production's cluster.
installation       = "staging"
account_id         = "444455556666"
region             = "eu-central-1"
zones              = ["eu-central-1a", "eu-central-1b"]
network            = "10.41.0.0/16"
nat_per_zone       = false
environments       = ["staging"]
kubernetes_version = "1.34"
administrators     = ["arn:aws:iam::444455556666:role/platform-administrator"]
api_server_readers = []

serving_nodes  = { instance_types = ["t3.large", "t3a.large"], min = 2, max = 3 }
training_nodes = { instance_types = ["c7i.large", "c6i.large", "m7i.large", "m6i.large"], min = 0, max = 1 }

database    = { instance_class = "db.t4g.medium", storage = 20, max_storage = 50, standby = false, backup_days = 7 }
rate_limits = { node_type = "cache.t4g.micro", replica = false }

rate_limit_passwords_version = 1

github = null

alarm_addresses = ["oncall@example.com"]
monthly_budget  = 450
