"""ProcessServer: workers that are forked, watched over and replaced."""
