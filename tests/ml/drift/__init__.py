"""Tests of ml.drift."""
