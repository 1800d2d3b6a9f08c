"""Lab: results of a water laboratory, kept, corrected, explored and watched as they come in."""
