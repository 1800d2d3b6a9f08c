"""An operator's story on the laboratory, from the first observed day to the way back. Run it: `python -m story`."""
