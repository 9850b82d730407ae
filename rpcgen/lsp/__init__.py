"""What editors ask of interface files: the language server, and what it knows.

``server`` speaks the Language Server Protocol, and is alone in knowing pygls; ``checking`` decides
when findings are looked for. The others answer questions about texts and offsets by the compiler's
own trees, names and findings: they know neither editors nor sockets, and raise for no text.
"""
