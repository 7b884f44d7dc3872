"""The plain vocabulary every other room shares: errors, random streams, specs, requests, token timelines."""
