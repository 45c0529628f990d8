# What the cluster's own Prometheus cannot see: the services beside it. Its alerts are in environments/base/observability.
resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.data.arn
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each  = var.alarm_addresses
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  gibibyte = 1024 * 1024 * 1024
  database = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  redis    = { ReplicationGroupId = aws_elasticache_replication_group.rates.replication_group_id }

  alarms = {
    database-cpu = {
      namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = local.database
      statistic = "Average", above = true, threshold = 80, periods = 3
      text      = "PostgreSQL is busy; collectors answer 503 when it is too slow. See its slow statements in the log."
    }
    database-storage = {
      namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = local.database
      statistic = "Minimum", above = false, threshold = 5 * local.gibibyte, periods = 1
      text      = "Less than 5 GiB left and the storage did not grow by itself: it is at max_storage. Drain the inboxes or raise it."
    }
    database-memory = {
      namespace = "AWS/RDS", metric = "FreeableMemory", dimensions = local.database
      statistic = "Average", above = false, threshold = local.gibibyte / 8, periods = 3
      text      = "PostgreSQL has little memory left: fewer connections or a larger instance."
    }
    rates-cpu = {
      namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = local.redis
      statistic = "Average", above = true, threshold = 80, periods = 3
      text      = "Redis is busy; requests are limited by each pod alone when it does not answer."
    }
    rates-memory = {
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = local.redis
      statistic = "Maximum", above = true, threshold = 80, periods = 3
      text      = "Buckets of many callers: a larger node, or somebody invents callers."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.periods
  treat_missing_data  = "breaching" # a service that says nothing is not well
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "nat" {
  for_each            = aws_nat_gateway.this
  alarm_name          = "${local.name}-nat-${each.key}"
  alarm_description   = "The NAT gateway had no port left: pods cannot reach the forge. Look for what opens many connections."
  namespace           = "AWS/NATGateway"
  metric_name         = "ErrorPortAllocation"
  dimensions          = { NatGatewayId = each.value.id }
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # no traffic, no error
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_budgets_budget" "monthly" {
  name         = local.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "ACTUAL"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = var.alarm_addresses
  }

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "FORECASTED"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = var.alarm_addresses
  }
}
