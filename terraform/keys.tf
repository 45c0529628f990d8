# One key of our own for what is kept: buckets, database, Redis, images, cluster secrets, logs and alarms.
resource "aws_kms_key" "data" {
  description             = "${local.name}: data at rest"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = templatefile("${path.module}/policies/key.json", local.names)
}

resource "aws_kms_alias" "data" {
  name          = local.names.key_alias
  target_key_id = aws_kms_key.data.key_id
}
