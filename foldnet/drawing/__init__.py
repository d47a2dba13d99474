"""Pictures: readings of matrices and programs that know no torch."""
