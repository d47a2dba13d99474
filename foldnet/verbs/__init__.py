"""Each verb as one function: settings and paths in, a frozen report out. The command line and a notebook call the
same."""
