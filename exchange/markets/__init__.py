"""Be the markets that orders meet: synthetic flow and recordings behind one interface."""
