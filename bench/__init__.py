"""The benchmark suite: figures and plans, never part of the tests. See docs/performance.md."""
