# OpenTofu or Terraform; write-only arguments and locks in S3 need 1.11.
terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.64.0"
    }
  }

  # The bucket's name comes with `init -backend-config=<installation>.s3.tfbackend`.
  backend "s3" {
    key          = "purchase-prediction.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id] # an apply with another account's credentials stops here

  default_tags {
    tags = {
      project      = "purchase-prediction"
      installation = var.installation
    }
  }
}
