"""Soft parameter sharing: banks of templates, who shares them, and how a network uses them."""
