"""Many clips in many styles, painted by workers that may die: `python -m stylevid.batch`."""
