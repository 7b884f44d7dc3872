"""What is compiled: some C, where a compiler is; without it Python computes the same bits more slowly."""
