"""The report: claims, tables, figures and pages."""
