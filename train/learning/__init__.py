"""How the network learns a painting: losses, the loop, what is kept of a run."""
