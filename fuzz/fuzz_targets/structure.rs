//! Any bytes, split into the parts of a message: no panic, parts in document order within the message, and
//! the same text for every reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::mail::{Content, MAX_PARTS, Structure, html, readable};

const FRONT: &[u8] = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    for raw in [bytes.to_vec(), [FRONT, bytes].concat()] {
        let structure = Structure::of(&raw);
        assert!(structure.parts().count() <= MAX_PARTS);
        let mut end = 0;
        for leaf in structure.leaves() {
            let range = leaf.range();
            assert!(end <= range.start && range.start <= range.end && range.end <= raw.len());
            end = range.end;
            let _ = leaf.decode();
        }
        let content = Content::of(&raw);
        if readable(&raw).is_some() {
            assert!(content.text.is_some());
        }
        let _ = html(&raw);
    }
});
