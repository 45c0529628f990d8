locals {
  name      = "purchase-prediction-${var.installation}"
  namespace = "purchase-prediction"

  # What the policies in policies/ name. Bucket names are the world's, so they end with the account.
  names = {
    account   = var.account_id
    region    = var.region
    cluster   = local.name
    lake      = "${local.name}-lake-${var.account_id}"
    models    = "${local.name}-models-${var.account_id}"
    registry  = "${local.name}-registry-${var.account_id}"
    served    = "${local.name}-served-${var.account_id}"
    logs      = "${local.name}-logs-${var.account_id}"
    key_alias = "alias/${local.name}"
  }

  # Each image of the project, and the one image of others that the platform mirrors when AWS brings database and bucket.
  images = toset([
    "collector", "console", "decision", "forecast", "oncall", "training",
    "mirror/mlflow",
  ])
}
