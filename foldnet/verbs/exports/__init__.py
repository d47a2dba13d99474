"""Formats that foldnet writes networks in: one file a format, or a kind of them."""
