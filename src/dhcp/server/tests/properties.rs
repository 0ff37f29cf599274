//! Random lives of servers.
