"""The decisions of ``core`` under virtual time and seeded faults: ``python -m kapelle.simulate --seed 17``."""
