"""Reports as people see them: tables and pictures, whatever shows them."""
