"""What is compiled: one C file, where a compiler is; without it Python computes the same bits more slowly."""
