"""Tests of what an attack shows."""
