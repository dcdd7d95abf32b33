//! The labels of the series: few and fixed, so that no client can create a series.

use crate::core::log::GapReason;
use crate::core::problem::ProblemKind;

/// The value of a label.
pub trait Label: Copy + 'static {
    /// The names of all values. New ones are added at the end, because indices are stored.
    const VALUES: &'static [&'static str];

    /// Returns its index in [`Label::VALUES`].
    fn index(self) -> u16;

    /// Returns its name.
    fn value(self) -> &'static str {
        let value = Self::VALUES.get(usize::from(self.index()));
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

            fn index(self) -> u16 {
                self as u16
            }
        }
    };
}

label! {
    /// The reason for the end of a stream.
    EndReason {
        /// The stream had reached its age.
        Age = "age",
        /// All of its channels are closed.
        Closed = "closed",
        /// The client asked only for the events that were there.
        Finished = "finished",
        /// The client's token expired.
        Expired = "expired",
        /// The store failed for too long.
        Store = "store",
        /// The client has disconnected.
        ClientGone = "client_gone",
        /// The client read nothing for too long.
        Stalled = "stalled",
    }
}

label! {
    /// The outcome of a publish.
    PublishOutcome {
        /// The events were appended.
        Created = "created",
        /// The publish was a repeat, and was answered as the first.
        Repeated = "repeated",
        /// The publish was rejected; the rejections have their reasons.
        Rejected = "rejected",
        /// The commit was given up: too many wrote to the channel, or the store failed.
        Failed = "failed",
        /// The store failed in mid-commit: the events may have been appended.
        Unknown = "unknown",
    }
}

label! {
    /// A call of the store.
    Call {
        /// Reads a value.
        Get = "get",
        /// Stores a value.
        Set = "set",
        /// Stores several values.
        SetMany = "set_many",
        /// Deletes several values.
        DeleteMany = "delete_many",
        /// Increments a counter.
        Increment = "increment",
        /// Begins a compare-and-swap.
        Read = "cas_read",
        /// Completes a compare-and-swap.
        Swap = "cas_swap",
    }
}

label! {
    /// The outcome of a call of the store.
    CallOutcome {
        /// The call succeeded.
        Ok = "ok",
        /// The swap was lost to another.
        Lost = "lost",
        /// The store failed.
        Error = "error",
    }
}

impl Label for ProblemKind {
    const VALUES: &'static [&'static str] = Self::NAMES;

    fn index(self) -> u16 {
        self as u16
    }
}

impl Label for GapReason {
    const VALUES: &'static [&'static str] = &["evicted", "reset", "ahead"];

    fn index(self) -> u16 {
        match self {
            Self::Evicted => 0,
            Self::Reset => 1,
            Self::Ahead => 2,
        }
    }
}

impl From<ProblemKind> for PublishOutcome {
    /// Returns the outcome of a publish that was rejected for `rejection`.
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
    fn indices_and_names_agree() {
        assert_eq!(EndReason::Age.value(), "age");
        assert_eq!(EndReason::Stalled.value(), "stalled");
        assert_eq!(ProblemKind::WrongTokens.value(), "wrong-tokens");
        assert_eq!(
            usize::from(ProblemKind::WrongTokens.index()) + 1,
            ProblemKind::VALUES.len()
        );
        for reason in [GapReason::Evicted, GapReason::Reset, GapReason::Ahead] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.value()));
        }
    }
}
