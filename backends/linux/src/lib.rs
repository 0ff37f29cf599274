//! whohas on Linux: raw sockets, rings and TAP devices as links.
