resource "aws_eks_node_group" "serving" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "serving"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [for subnet in aws_subnet.private : subnet.id]
  instance_types  = var.serving_nodes.instance_types
  labels          = { "purchase-prediction/nodes" = "serving" }

  launch_template {
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }

  scaling_config {
    min_size     = var.serving_nodes.min
    desired_size = var.serving_nodes.min
    max_size     = var.serving_nodes.max
  }

  update_config {
    max_unavailable = 1
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network, aws_eks_addon.on_each_node]

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size] # an autoscaler's
  }
}

# A step that loses its node is tried again and finds what it had finished. In one zone, since the lake's volume is in one.
resource "aws_eks_node_group" "training" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "training"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = [aws_subnet.private[var.zones[0]].id]
  capacity_type   = "SPOT"
  instance_types  = var.training_nodes.instance_types
  labels          = { "purchase-prediction/nodes" = "training" }

  launch_template {
    id      = aws_launch_template.node.id
    version = aws_launch_template.node.latest_version
  }

  scaling_config {
    min_size     = var.training_nodes.min
    desired_size = var.training_nodes.min
    max_size     = var.training_nodes.max
  }

  taint {
    key    = "purchase-prediction/nodes"
    value  = "training"
    effect = "PREFER_NO_SCHEDULE"
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.network, aws_eks_addon.on_each_node]

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }
}

# A pod is one hop further than its node: with one hop it cannot take the node's role.
resource "aws_launch_template" "node" {
  name_prefix = "${local.name}-"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 50
      encrypted             = true
      delete_on_termination = true
    }
  }
}

resource "aws_iam_role" "node" {
  name               = "${local.name}-node"
  assume_role_policy = templatefile("${path.module}/policies/trust-node.json", local.names)
}

# Joining the cluster and pulling images; pods have roles of their own.
resource "aws_iam_role_policy_attachment" "node" {
  for_each   = toset(["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"])
  role       = aws_iam_role.node.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
