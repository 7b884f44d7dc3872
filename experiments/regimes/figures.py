"""The map's figures: tidy table in, Figure out."""
