"""Tests of tools, documentation and benchmarks."""
