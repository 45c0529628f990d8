"""GitHub, Gitea and a local repository behind one small interface."""
