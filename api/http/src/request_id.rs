//! The id that ties a request to its answer and to the log.
//!
//! A caller may bring its own; otherwise it is a UUID of version 7. It names nothing in the ledger.

use std::cell::RefCell;

use hyper::header::{HeaderMap, HeaderValue};

/// The header, both ways.
pub(crate) const HEADER: &str = "x-request-id";

const CHARS_MAX: usize = 128;

/// Random bytes that one id takes.
const RANDOM_BYTES: usize = 10;
/// Ids for which one call of the system brings them.
const IDS_A_CALL: usize = 100;

thread_local! {
    /// Random bytes that no id has had yet are the last of these.
    static UNUSED: RefCell<Vec<[u8; RANDOM_BYTES]>> = const { RefCell::new(Vec::new()) };
}

fn random_bytes() -> [u8; RANDOM_BYTES] {
    let drawn = UNUSED.with_borrow_mut(|unused| {
        if unused.is_empty() {
            unused.resize(IDS_A_CALL, [0; RANDOM_BYTES]);
            // Without a source of chance ids are less unique; that is no reason to refuse a request.
            if let Err(error) = getrandom::fill(unused.as_flattened_mut()) {
                tracing::warn!(%error, "no random bytes for request ids");
            }
        }
        unused.pop()
    });
    drawn.unwrap_or_default()
}

/// The id of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    text: HeaderValue,
}

impl RequestId {
    /// Takes the caller's id when it is usable, or makes one.
    pub(crate) fn of(headers: &HeaderMap) -> RequestId {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let is_usable = |text: &[u8]| (1..=CHARS_MAX).contains(&text.len()) && text.iter().all(|byte| fits(*byte));
        match headers.get(HEADER) {
            Some(brought) if is_usable(brought.as_bytes()) => RequestId { text: brought.clone() },
            _ => RequestId::new(),
        }
    }

    pub(crate) fn new() -> RequestId {
        let millis = u64::try_from(kembali_engine::now().0 / 1_000).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid();
        let mut buffer = uuid::Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut buffer);
        RequestId { text: HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none")) }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.text.to_str().unwrap_or("none")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.text.clone()
    }
}
