"""Measurements of this project and its peers; nothing here is a test."""
