//! What replies say, and where they go.
