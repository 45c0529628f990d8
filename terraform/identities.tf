# Roles of pods, by EKS Pod Identity: of those that open the model store. Collector, decision and the truth check open nothing
# of AWS by themselves and have no role; the console looks at bundles and images before it proposes them.
locals {
  platform_policies = {
    backup        = "backup.json"
    workflows     = "workflows.json"
    registry      = "registry.json"
    rollout-watch = "reader.json"
  }
}

resource "aws_iam_role" "forecast" {
  for_each = var.environments
  name     = "${local.name}-forecast-${each.key}"
  assume_role_policy = templatefile("${path.module}/policies/trust-pod.json", merge(local.names, {
    namespace       = "${local.namespace}-${each.key}"
    service_account = "forecast"
  }))
}

resource "aws_iam_role_policy" "forecast" {
  for_each = var.environments
  name     = "forecast"
  role     = aws_iam_role.forecast[each.key].id
  policy = templatefile("${path.module}/policies/forecast.json", merge(local.names, {
    environment = each.key
    key         = aws_kms_key.data.arn
  }))
}

resource "aws_eks_pod_identity_association" "forecast" {
  for_each        = var.environments
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "${local.namespace}-${each.key}"
  service_account = "forecast"
  role_arn        = aws_iam_role.forecast[each.key].arn
}

resource "aws_iam_role" "console" {
  for_each = var.environments
  name     = "${local.name}-console-${each.key}"
  assume_role_policy = templatefile("${path.module}/policies/trust-pod.json", merge(local.names, {
    namespace       = "${local.namespace}-${each.key}"
    service_account = "console"
  }))
}

resource "aws_iam_role_policy" "console" {
  for_each = var.environments
  name     = "console"
  role     = aws_iam_role.console[each.key].id
  policy = templatefile("${path.module}/policies/reader.json", merge(local.names, {
    key = aws_kms_key.data.arn
  }))
}

resource "aws_eks_pod_identity_association" "console" {
  for_each        = var.environments
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "${local.namespace}-${each.key}"
  service_account = "console"
  role_arn        = aws_iam_role.console[each.key].arn
}

resource "aws_iam_role" "platform" {
  for_each = local.platform_policies
  name     = "${local.name}-${each.key}"
  assume_role_policy = templatefile("${path.module}/policies/trust-pod.json", merge(local.names, {
    namespace       = "${local.namespace}-platform"
    service_account = each.key
  }))
}

resource "aws_iam_role_policy" "platform" {
  for_each = local.platform_policies
  name     = each.key
  role     = aws_iam_role.platform[each.key].id
  policy = templatefile("${path.module}/policies/${each.value}", merge(local.names, {
    key = aws_kms_key.data.arn
  }))
}

resource "aws_eks_pod_identity_association" "platform" {
  for_each        = local.platform_policies
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "${local.namespace}-platform"
  service_account = each.key
  role_arn        = aws_iam_role.platform[each.key].arn
}
