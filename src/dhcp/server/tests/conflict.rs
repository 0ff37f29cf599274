//! Probes, DECLINEs and quarantine.
