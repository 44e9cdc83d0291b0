"""How frames travel: in memory, over Unix sockets, over TCP. One contract, ``Connection``, and one contract test suite."""
