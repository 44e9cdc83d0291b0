"""Where artifacts live: named trees of files that services need."""
