resource "aws_elasticache_replication_group" "rates" {
  replication_group_id       = "${local.name}-rates"
  description                = "How often each caller asked"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.rate_limits.node_type
  num_cache_clusters         = var.rate_limits.replica ? 2 : 1
  automatic_failover_enabled = var.rate_limits.replica
  multi_az_enabled           = var.rate_limits.replica
  subnet_group_name          = aws_elasticache_subnet_group.rates.name
  security_group_ids         = [aws_security_group.rates.id]
  user_group_ids             = [aws_elasticache_user_group.rates.user_group_id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.data.arn
  auto_minor_version_upgrade = true
}

resource "aws_elasticache_subnet_group" "rates" {
  name       = "${local.name}-rates"
  subnet_ids = [for subnet in aws_subnet.data : subnet.id]
}

# An account runs the one script, and what that script asks, on the buckets of its environment.
resource "aws_elasticache_user" "environment" {
  for_each             = var.environments
  user_id              = "${var.installation}-${each.key}"
  user_name            = each.key
  engine               = "redis"
  access_string        = "on ~limit:${each.key}:* resetchannels -@all +eval +evalsha +script|load +get +set +time"
  passwords_wo         = var.rate_limit_passwords[each.key]
  passwords_wo_version = var.rate_limit_passwords_version
}

# Redis insists on an account of this name; it is off.
resource "aws_elasticache_user" "default" {
  user_id              = "${var.installation}-default"
  user_name            = "default"
  engine               = "redis"
  access_string        = "off -@all"
  no_password_required = true
}

resource "aws_elasticache_user_group" "rates" {
  user_group_id = "${local.name}-rates"
  engine        = "redis"
  user_ids = concat(
    [aws_elasticache_user.default.user_id],
    [for user in aws_elasticache_user.environment : user.user_id],
  )
}

resource "aws_security_group" "rates" {
  name        = "${local.name}-rates"
  description = "Redis, from the nodes of the cluster"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "rates" {
  description                  = "Redis from pods; which pods, network policies say"
  security_group_id            = aws_security_group.rates.id
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}
