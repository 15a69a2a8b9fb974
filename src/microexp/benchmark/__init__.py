"""Benchmarks: a grid of evaluations in one YAML file becomes a table."""
