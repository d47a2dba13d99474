"""The command line of foldnet: thin commands over the library's verbs."""
