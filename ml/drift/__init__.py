"""Drift: does what came last still look like what the model knows?"""
