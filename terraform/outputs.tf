# What overlays, secrets and the forge's variables need; docs/cloud.md says where each goes.
output "cluster" {
  description = "For `aws eks update-kubeconfig --name`."
  value       = aws_eks_cluster.this.name
}

output "region" {
  description = "AWS_REGION of pods and workflows."
  value       = var.region
}

output "image_registry" {
  description = "In the place of registry.example.com/purchase-prediction."
  value       = "${var.account_id}.dkr.ecr.${var.region}.amazonaws.com/${local.namespace}"
}

output "buckets" {
  description = "FORECAST_MODEL_STORE and ML_MODEL_STORE are s3://<models>, FORECAST_SERVED_STORE is s3://<served>/<environment>."
  value       = { for bucket in keys(local.buckets) : bucket => local.names[bucket] }
}

output "data_networks" {
  description = "Addresses of database and Redis, for the network policies of who opens them."
  value       = [for subnet in aws_subnet.data : subnet.cidr_block]
}

output "database_address" {
  description = "Host of COLLECTOR_INBOX, ML_INBOX and of the registry's database; TLS is required."
  value       = aws_db_instance.this.address
}

output "database_administrator" {
  description = "Secrets Manager's name of the administrator's password, for making roles and databases once."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "rate_limits_address" {
  description = "Host of the URL in the Secret rate-limits, rediss:// and port 6379."
  value       = aws_elasticache_replication_group.rates.primary_endpoint_address
}

output "ci_roles" {
  description = "IMAGES_ROLE, PROMOTION_ROLE and PROMOTION_CHECK_ROLE of the forge."
  value       = { for name, role in aws_iam_role.ci : name => role.arn }
}
