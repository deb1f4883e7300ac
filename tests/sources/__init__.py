"""Tests of where data comes from."""
