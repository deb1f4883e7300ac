"""Tests of figures, tables and pages."""
