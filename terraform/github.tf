# Roles of the workflows in .github, without a stored key. A subject has the older form or, in repositories made since mid-2026,
# the one with GitHub's immutable numbers; both are compared whole, and in both the repository's number has to be right.
locals {
  ci_policies = {
    images          = "images.json"
    promotion       = "reader.json"
    promotion-check = "reader.json"
  }
  ci = { for role, policy in local.ci_policies : role => policy if var.github != null }
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github == null ? 0 : 1
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "ci" {
  for_each             = local.ci
  name                 = "${local.name}-ci-${each.key}"
  max_session_duration = 3600
  assume_role_policy = templatefile("${path.module}/policies/trust-${each.key}.json", merge(local.names, {
    provider      = aws_iam_openid_connect_provider.github[0].arn
    owner         = var.github.owner
    owner_id      = var.github.owner_id
    repository    = var.github.repository
    repository_id = var.github.repository_id
  }))
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.ci
  name     = each.key
  role     = aws_iam_role.ci[each.key].id
  policy = templatefile("${path.module}/policies/${each.value}", merge(local.names, {
    key = aws_kms_key.data.arn
  }))
}
