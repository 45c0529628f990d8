variable "installation" {
  description = "Which copy of this root: production runs the shop, staging is where a change of this root is tried first."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.installation)
    error_message = "The installation is staging or production."
  }
}

variable "account_id" {
  description = "The AWS account, 12 digits. Each installation has its own."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
}

variable "zones" {
  description = "Availability zones, two or more. Training runs in the first one, where the lake's volume is."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2
    error_message = "EKS and a database with a standby need two zones."
  }
}

variable "network" {
  description = "Addresses of the VPC, a /16."
  type        = string
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, or one for all."
  type        = bool
}

variable "environments" {
  description = "Release environments in the cluster: each has the namespace purchase-prediction-<environment>."
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.environments, ["staging", "production"])) == 0
    error_message = "Environments are staging and production."
  }
}

variable "kubernetes_version" {
  description = "Minor version of EKS."
  type        = string
}

variable "administrators" {
  description = "ARNs of IAM roles whose holders administer the cluster."
  type        = set(string)
}

variable "api_server_readers" {
  description = "Networks that reach the API server from outside the VPC; none: only from inside."
  type        = list(string)

  validation {
    condition     = !contains(var.api_server_readers, "0.0.0.0/0")
    error_message = "The API server is not for the world."
  }
}

variable "serving_nodes" {
  description = "On-demand nodes of services and platform."
  type        = object({ instance_types = list(string), min = number, max = number })
}

variable "training_nodes" {
  description = "Spot nodes that workflows prefer and everything else avoids."
  type        = object({ instance_types = list(string), min = number, max = number })
}

variable "database" {
  description = "PostgreSQL of inboxes and MLflow; storage in GiB, backups in days."
  type = object({
    instance_class = string
    storage        = number
    max_storage    = number
    standby        = bool
    backup_days    = number
  })
}

variable "rate_limits" {
  description = "Redis that counts requests; with a replica a failed node is replaced by it."
  type        = object({ node_type = string, replica = bool })
}

variable "rate_limit_passwords" {
  description = "Password of each environment's account in Redis, the one of its Secret rate-limits. Never kept in the state."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "rate_limit_passwords_version" {
  description = "Counted up by one when the passwords change."
  type        = number
}

variable "github" {
  description = "The repository whose workflows get roles, with GitHub's immutable numbers; null: no workflow gets one."
  type = object({
    owner         = string
    owner_id      = string
    repository    = string
    repository_id = string
  })
}

variable "alarm_addresses" {
  description = "E-mail addresses that hear of alarms and of the budget."
  type        = set(string)
}

variable "monthly_budget" {
  description = "US dollars a month; people hear at 80 % spent and when the forecast is above it."
  type        = number
}
