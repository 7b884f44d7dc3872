"""Requests whose policy has planned them, over a white-box server: the events of SimPy's world without its sessions.

What one request does there changes what all others meet, so nothing can be worked out beforehand; but a plan leaves
few kinds of events, and they are made here in the order in which sessions and streams make them. So moments, ties and
the order of records are SimPy's own.
"""
