"""`python -m stylevid.bench`: how fast stylevid is on this machine, and beside others."""
