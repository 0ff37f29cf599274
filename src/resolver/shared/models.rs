//! What the shared resolver promises, under every interleaving of the threads that could break it.
