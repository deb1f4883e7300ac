"""Tests of the stages and of the pipelines that they make."""
