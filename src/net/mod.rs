//! TCP, UDP and DNS as `embedded-nal-async` and `embedded-io-async`, over any [link](crate::link).
