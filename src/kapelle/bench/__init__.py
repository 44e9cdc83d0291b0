"""What the way between services costs: the same request through every way there is, measured beside each other."""
