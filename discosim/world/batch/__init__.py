"""The world again, for many requests at once: what a policy has planned beforehand, worked out in arrays.

Nothing is defined here. Every number is made by the operations of the SimPy world in their order, so that it is the
same to the bit; what is not repeated here goes through the world.
"""
