"""Files and folders: written whole or not at all, sealed, locked, replaced in one step, and checked when read."""
