//! Frames of WebSocket, to the event stream and to notices.
#![cfg_attr(fuzzing, no_main)]

kembali_fuzz::target!(network::websocket);
