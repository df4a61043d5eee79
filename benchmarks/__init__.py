"""Benchmarks: what a scan costs, beside what the same machine does otherwise in the same run."""
