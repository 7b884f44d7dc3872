"""Speed controllers: when a client shows the tokens of an answer that the cloud begins and the device finishes.

Source: that there is a speed controller is P/D-Device (arXiv 2508.09035, abstract); the laws are our reconstruction.
"""
