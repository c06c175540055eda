"""Benchmarks of Even beside redis-server. Run with ./dev bench; `__main__.py` is the command line."""
