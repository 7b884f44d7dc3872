"""Papers as folders: their tables, their figures, their claims, and which of these hold here."""
