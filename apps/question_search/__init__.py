"""Question search: which question of a corpus means the same as yours?

Offline, ``build`` turns a corpus into artifacts: a sentence encoder, and an index cut into clusters. Online, ``app``
serves them.
"""
