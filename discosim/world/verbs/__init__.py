"""Verbs that serve one paper, each a function of a session beside the stream that it makes."""
