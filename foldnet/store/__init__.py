"""Files and folders: written whole or not at all, sealed, locked, replaced in one step, and read as a stranger's."""
