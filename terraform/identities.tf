# Roles of pods, by EKS Pod Identity. Each pod that opens AWS is here and no other: tests/terraform/test_pods.py compares the map
# with the manifests. Collector, decision, on-call and the truth check open nothing of AWS.
locals {
  namespaces = {
    staging    = "${local.namespace}-staging"
    production = "${local.namespace}-production"
    platform   = "${local.namespace}-platform"
    kyverno    = "kyverno"
  }

  pods = {
    forecast-staging    = { place = "staging", account = "forecast", policy = "forecast.json" }
    forecast-production = { place = "production", account = "forecast", policy = "forecast.json" }
    # It looks at bundles and images before it proposes them.
    console-staging    = { place = "staging", account = "console", policy = "reader.json" }
    console-production = { place = "production", account = "console", policy = "reader.json" }
    backup             = { place = "platform", account = "backup", policy = "backup.json" }
    registry           = { place = "platform", account = "registry", policy = "registry.json" }
    retrain            = { place = "platform", account = "retrain", policy = "retrain.json" }
    rollout-watch      = { place = "platform", account = "rollout-watch", policy = "reader.json" }
    workflows          = { place = "platform", account = "workflows", policy = "workflows.json" }
    # It reads signatures beside images; the name is the chart's.
    kyverno = { place = "kyverno", account = "kyverno-admission-controller", policy = "pull.json" }
  }

  pods_here = { for name, pod in local.pods : name => pod if contains(setunion(var.environments, ["platform", "kyverno"]), pod.place) }
}

resource "aws_iam_role" "pod" {
  for_each = local.pods_here
  name     = "${local.name}-${each.key}"
  assume_role_policy = templatefile("${path.module}/policies/trust-pod.json", merge(local.names, {
    namespace       = local.namespaces[each.value.place]
    service_account = each.value.account
  }))
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.pods_here
  name     = each.value.account
  role     = aws_iam_role.pod[each.key].id
  policy = templatefile("${path.module}/policies/${each.value.policy}", merge(local.names, {
    environment = each.value.place
    key         = aws_kms_key.data.arn
  }))
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each        = local.pods_here
  cluster_name    = aws_eks_cluster.this.name
  namespace       = local.namespaces[each.value.place]
  service_account = each.value.account
  role_arn        = aws_iam_role.pod[each.key].arn
}
