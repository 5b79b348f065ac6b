"""Files damaged at random, and runs ended at random, to see that nothing worse than a word follows.

`python -m fuzz --help` says how; docs/reliability.md says what was found.
"""
