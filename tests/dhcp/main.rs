//! DHCP: the codec against two that others wrote, and the client against servers good and bad.

mod codec;
mod corpus;
mod exhibits;
mod hostile;
mod leaks;
