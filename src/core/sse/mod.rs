//! The event stream on the wire: WHATWG HTML 9.2, "Server-sent events".

mod cursor;
mod event_id;
mod event_type;
mod frames;
mod reconnection;

pub use cursor::{Cursor, CursorError, MAX_CHANNELS, MAX_CURSOR_BYTES, Position};
pub use event_id::{Epoch, EventId, EventIdError, Seq};
pub use event_type::{EventType, EventTypeError, MAX_EVENT_TYPE_BYTES};
pub use frames::Frames;
pub use reconnection::{MAX_RECONNECTION_TIME, reconnection_time};
