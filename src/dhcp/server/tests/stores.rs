//! Durable before ACK, stores that refuse, restarts.
