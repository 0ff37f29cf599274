//! One figure of a bench, as it stands in the tables and in the JSON files.

use serde::{Deserialize, Serialize};

use crate::project::PACKAGE;

/// One figure.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) case: String,
    /// `whohas`, or the name of a peer.
    pub(crate) who: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

impl Row {
    /// A figure of ours.
    pub(crate) fn of_whohas(case: String, value: f64, unit: &str) -> Self {
        Self {
            case,
            who: PACKAGE.into(),
            value,
            unit: unit.into(),
        }
    }
}
