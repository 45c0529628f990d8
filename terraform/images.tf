# A tag is a commit and never means another image; what a revert may need is never removed.
resource "aws_ecr_repository" "this" {
  for_each             = local.images
  name                 = "${local.namespace}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.data.arn
  }
}
