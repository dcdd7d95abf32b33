//! The labels of the series: few and fixed, so that no client makes a series.

use crate::core::log::GapReason;
use crate::core::problem::ProblemKind;

/// One of the values of a label.
pub trait Label: Copy + 'static {
    /// All values, as they are shown. New ones are added at the end: places are stored.
    const VALUES: &'static [&'static str];

    /// Which of [`Label::VALUES`] it is.
    fn place(self) -> u16;

    /// The value, as it is shown.
    fn value(self) -> &'static str {
        let value = Self::VALUES.get(usize::from(self.place()));
        value.copied().unwrap_or_default()
    }
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $variant,)+
        }

        impl Label for $name {
            const VALUES: &'static [&'static str] = &[$($value,)+];

            fn place(self) -> u16 {
                self as u16
            }
        }
    };
}

label! {
    /// Why a stream ended.
    EndReason {
        /// It had reached its age.
        Age = "age",
        /// All its channels are closed.
        Closed = "closed",
        /// It was asked only for what there was.
        Finished = "finished",
        /// The client's token expired.
        Expired = "expired",
        /// The store failed for too long.
        Store = "store",
        /// The client has gone.
        ClientGone = "client_gone",
        /// The client took nothing for too long.
        Stalled = "stalled",
    }
}

label! {
    /// What became of a publish.
    Publishing {
        /// Its events were appended.
        Created = "created",
        /// It was a repeat, and got the answer of the first.
        Repeated = "repeated",
        /// It was refused: see the reasons of rejections.
        Rejected = "rejected",
        /// Its commit was given up: too many wrote to the channel, or the store failed.
        Failed = "failed",
        /// The store failed in mid-commit: its events may have been appended.
        Unknown = "unknown",
    }
}

label! {
    /// What is asked of the store.
    Call {
        /// Read a value.
        Get = "get",
        /// Store a value.
        Set = "set",
        /// Store several.
        SetMany = "set_many",
        /// Delete several.
        DeleteMany = "delete_many",
        /// Add to a counter.
        Increment = "increment",
        /// Read a value that is to be swapped.
        Read = "cas_read",
        /// Swap it.
        Swap = "cas_swap",
    }
}

label! {
    /// What came of it.
    CallOutcome {
        /// It was done.
        Ok = "ok",
        /// Somebody else had swapped the value before.
        Lost = "lost",
        /// The store failed.
        Error = "error",
    }
}

impl Label for ProblemKind {
    const VALUES: &'static [&'static str] = Self::NAMES;

    fn place(self) -> u16 {
        self as u16
    }
}

impl Label for GapReason {
    const VALUES: &'static [&'static str] = &["evicted", "reset", "ahead"];

    fn place(self) -> u16 {
        match self {
            Self::Evicted => 0,
            Self::Reset => 1,
            Self::Ahead => 2,
        }
    }
}

impl From<ProblemKind> for Publishing {
    /// What became of a publish that was turned down for this.
    fn from(rejection: ProblemKind) -> Self {
        match rejection {
            ProblemKind::Contended | ProblemKind::Store | ProblemKind::LogUnreadable => {
                Self::Failed
            }
            ProblemKind::OutcomeUnknown => Self::Unknown,
            _ => Self::Rejected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_values_agree() {
        assert_eq!(EndReason::Age.value(), "age");
        assert_eq!(EndReason::Stalled.value(), "stalled");
        assert_eq!(ProblemKind::StreamRate.value(), "stream-rate");
        assert_eq!(
            usize::from(ProblemKind::StreamRate.place()) + 1,
            ProblemKind::VALUES.len()
        );
        for reason in [GapReason::Evicted, GapReason::Reset, GapReason::Ahead] {
            let told = serde_json::to_string(&reason).unwrap();
            assert_eq!(told, format!("\"{}\"", reason.value()));
        }
    }
}
