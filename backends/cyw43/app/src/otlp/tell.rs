//! One event for telemetry and for defmt.

/// Says something to a [`Telemetry`](crate::otlp::Telemetry) and, with the feature `defmt`, to defmt.
///
/// What stands in for `{}` must be able to do both: `Display`, and `defmt::Format` with that feature.
/// The program has to have `defmt` among its own dependencies then.
///
/// ```
/// use whohas::Instant;
/// use whohas_app::otlp::{Severity, Telemetry};
/// use whohas_app::tell;
///
/// static TELEMETRY: Telemetry = Telemetry::new();
///
/// # // Without a global logger, defmt's events have nowhere to go.
/// # #[cfg(not(feature = "defmt"))]
/// fn joined(now: Instant, channel: u8) {
///     tell!(TELEMETRY, now, info, "joined on channel {}", channel);
/// }
/// ```
#[macro_export]
macro_rules! tell {
    ($telemetry:expr, $now:expr, $level:ident, $format:literal $(, $value:expr)* $(,)?) => {{
        $telemetry.log(
            $now,
            $crate::__severity!($level),
            ::core::format_args!($format $(, $value)*),
        );
        $crate::__defmt!($level, $format $(, $value)*);
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __severity {
    (trace) => {
        $crate::otlp::Severity::Trace
    };
    (debug) => {
        $crate::otlp::Severity::Debug
    };
    (info) => {
        $crate::otlp::Severity::Info
    };
    (warn) => {
        $crate::otlp::Severity::Warn
    };
    (error) => {
        $crate::otlp::Severity::Error
    };
}

#[cfg(feature = "defmt")]
#[doc(hidden)]
#[macro_export]
macro_rules! __defmt {
    ($level:ident, $format:literal $(, $value:expr)*) => {
        ::defmt::$level!($format $(, $value)*)
    };
}

#[cfg(not(feature = "defmt"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __defmt {
    ($level:ident, $format:literal $(, $value:expr)*) => {};
}
