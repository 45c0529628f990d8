"""Tests of ml.impact."""
