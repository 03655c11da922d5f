"""How to install and start the servers that the dialects are tried against."""
