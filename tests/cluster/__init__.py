"""The release path on a real Kubernetes with Argo CD, a Gitea forge and an image registry."""
