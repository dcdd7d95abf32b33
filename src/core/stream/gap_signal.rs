//! The report of a gap.

use serde::Serialize;

use crate::core::log::Gap;

/// The data of a `runnel.gap` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapSignal {
    /// The channel in which events are missing.
    pub channel: String,
    /// The gap.
    #[serde(flatten)]
    pub gap: Gap,
}
