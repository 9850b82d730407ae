"""``rpcgen.lsp``: what editors ask."""
