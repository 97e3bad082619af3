//! A text message that is written to its connection from where it is. Knows no subscriber.
//!
//! The library copies each message into a buffer of its connection first. A hundred subscribers have more of these than a processor's
//! cache holds, and that one copy was a third of all that the server did for them. So the library makes the head, and the text follows as
//! it is.

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use futures_util::SinkExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::Socket;

/// What of a message is not written yet.
#[derive(Debug)]
pub(crate) struct Text(Chain<Bytes, Bytes>);

impl Text {
    pub(crate) fn new(text: String) -> Text {
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let mut head = Vec::new();
        header.format(text.len() as u64, &mut head).expect("memory takes what is written to it");
        Text(Bytes::from(head).chain(Bytes::from(text)))
    }
}

/// Waits until the connection has taken what waits for it: first what the library holds (answers to pings), then the message. Cancelled,
/// the rest waits on, and nothing else may be written before it.
///
/// # Errors
///
/// The connection is gone.
pub(crate) async fn write_out(socket: &mut Socket, message: &mut Option<Text>) -> Result<(), Error> {
    socket.flush().await?;
    if let Some(Text(rest)) = message {
        let connection = socket.get_mut();
        connection.write_all_buf(rest).await?;
        connection.flush().await?;
        *message = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_final_frame_without_a_mask() {
        // RFC 6455, 5.2: a length below 126, in 16 bits, and in 64.
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let Text(mut message) = Text::new("x".repeat(length));
            let whole = message.copy_to_bytes(message.remaining());
            assert_eq!(whole, [head, "x".repeat(length).as_bytes()].concat());
        }
    }
}
