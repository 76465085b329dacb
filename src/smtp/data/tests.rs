use proptest::prelude::*;

use super::*;

/// Feeds the given chunks and returns the result, with the end counted from the start.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limit: u64) -> (Progress, Transfer) {
    let bounds = Bounds {
        message: limit,
        header: limit,
    };
    read_within(bounds, chunks)
}

fn read_within<'a>(
    bounds: Bounds,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Progress, Transfer) {
    let mut body = Transfer::new(bounds, None);
    let mut before = 0;
    for chunk in chunks {
        match body.feed(chunk) {
            Progress::More => before += chunk.len(),
            Progress::End(at) => return (Progress::End(before + at), body),
            Progress::BareLf => return (Progress::BareLf, body),
        }
    }
    (Progress::More, body)
}

const ENDS: &[(&[u8], &[u8])] = &[
    (b".\r\n", b""),
    (b"\r\n.\r\n", b"\r\n"),
    (b"a\r\n.\r\n", b"a\r\n"),
    (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
    (b"..a\r\n...b\r\nc.\r\n.\r\n", b".a\r\n..b\r\nc.\r\n"),
    (b".a\r\n.\r\n", b"a\r\n"),
    (b"a\rb\r\r\n.\r\n", b"a\rb\r\r\n"),
    (b".\r\r\n.\r\n", b"\r\r\n"),
    (b".\ra\r\n.\r\n", b"\ra\r\n"),
    (b".\r.\r\n.\r\n", b"\r.\r\n"),
    (b"a\0\xff\r\n.\r\n", b"a\0\xff\r\n"),
    (b"a\r.\r\n.\r\n", b"a\r.\r\n"),
];

#[test]
fn the_end_and_dot_stuffing_at_every_two_splits() {
    for (input, message) in ENDS {
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let chunks = [&input[..first], &input[first..second], &input[second..]];
                let (progress, body) = read(chunks, 100);
                assert_eq!(progress, Progress::End(input.len()), "{input:?} {chunks:?}");
                assert_eq!(body.finish().as_deref(), Ok(*message), "{chunks:?}");
            }
        }
    }
}

#[test]
fn a_false_end_is_refused_or_part_of_the_message_at_every_two_splits() {
    use Progress::{BareLf, More};
    for (input, expected) in [
        (&b"a\n.\n"[..], BareLf),
        (b"a\r\n.\n", BareLf),
        (b"a\n.\r\n", BareLf),
        (b"a\n\r\n.\r\n", BareLf),
        (b"a\r.\n", BareLf),
        (b"a\r\n.\r\r.\n", BareLf),
        (b"\n", BareLf),
        (b".\n", BareLf),
        (b"a\r\n..\n", BareLf),
        (b"a\r.\r", More),
        (b"a\r\n.\r", More),
        (b"a\r.\r\n", More),
        (b"a\r\r.\r\r", More),
        (b"a\r\n.\r\r\n", More),
        (b"a\r\n. \r\n", More),
        (b"a\r\n.\0\r\n", More),
        (b"a\r\n\0.\r\n", More),
    ] {
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let chunks = [&input[..first], &input[first..second], &input[second..]];
                assert_eq!(read(chunks, 100).0, expected, "{input:?} {chunks:?}");
            }
        }
    }
}

#[test]
fn dot_stuffing_does_not_count_towards_the_limit() {
    let input = b"..\r\n..\r\n.\r\n";
    assert_eq!(
        read([&input[..]], 6).1.finish().as_deref(),
        Ok(&b".\r\n.\r\n"[..])
    );
    let (progress, body) = read([&input[..]], 5);
    assert_eq!(progress, Progress::End(input.len()));
    assert!(body.is_too_large());
    assert_eq!(body.finish(), Err(TooLarge::Message));
}

#[test]
fn the_header_has_its_own_limit_at_every_two_splits() {
    let large = Err(TooLarge::Header);
    for (message, header) in [
        (&b"a:b\r\n\r\nbody\r\n"[..], Ok(5)),
        (b"\r\nbody of any length\r\n", Ok(0)),
        (b"a:12345678\r\n\r\nbody\r\n", Ok(12)),
        (b"a:123456789\r\n\r\nbody\r\n", large),
        (b"a:12345678\r\n", Ok(12)),
        (b"a:123456789\r\n", large),
        (b"a:1\r\nb:2\r\nc:3\r\n\r\n", large),
        (b"a:1\r\n \r\n", Ok(8)),
        (b"a:1\r\n \r\n b\r\n\r\n", Ok(12)),
        (b"a:1\r\r\n\r\r\n\r\n", Ok(9)),
        (b"a:1\r\n..\r\n..\r\nlong enough\r\n", large),
    ] {
        let wire = [message, b".\r\n"].concat();
        let input = &wire[..];
        let bounds = Bounds {
            message: 100,
            header: 12,
        };
        for first in 0..=input.len() {
            for second in first..=input.len() {
                let chunks = [&input[..first], &input[first..second], &input[second..]];
                let (progress, body) = read_within(bounds, chunks);
                assert_eq!(progress, Progress::End(input.len()), "{chunks:?}");
                let octets = body.header();
                let found = body.finish().map(|_| octets);
                assert_eq!(found, header, "{chunks:?}");
            }
        }
    }
}

#[test]
fn an_endless_header_is_discarded_once_it_is_too_large() {
    let bounds = Bounds {
        message: 1 << 20,
        header: 1000,
    };
    let mut body = Transfer::new(bounds, None);
    assert_eq!(body.feed(&[b'a'; 1001]), Progress::More);
    assert!(!body.is_too_large());
    assert_eq!(body.feed(b"a"), Progress::More);
    assert!(body.is_too_large());
    assert_eq!(body.raw.capacity(), 0, "the memory is released");
}

#[test]
fn capacity_doubles_up_to_the_limit_and_feeding_keeps_to_it() {
    let bounds = Bounds {
        message: 100_000,
        header: 100_000,
    };
    let mut body = Transfer::new(bounds, Some(5));
    let line = [b'a'; 1000];
    let mut steps = 0;
    for _ in 0..100 {
        let capacity = body.capacity_for(line.len());
        assert!(capacity <= 100_000);
        if capacity > body.raw.capacity() {
            steps += 1;
            body.reserve(capacity);
        }
        let before = body.raw.capacity();
        assert_eq!(body.feed(&line), Progress::More);
        assert_eq!(body.raw.capacity(), before);
    }
    assert!(steps <= 8, "{steps}");
    assert_eq!(body.feed(b"b"), Progress::More);
    assert!(body.is_too_large());
    assert_eq!(body.raw.capacity(), 0, "the memory is released");
    assert_eq!(body.capacity_for(line.len()), 0);
}

#[test]
fn a_declared_size_is_allocated_up_to_a_bound() {
    let bounds = Bounds {
        message: 1 << 20,
        header: 1 << 20,
    };
    for (declared, capacity) in [
        (None, 10),
        (Some(5), 10),
        (Some(30_000), 30_000),
        (Some(64 * 1024 + 1), 64 * 1024),
        (Some(u64::MAX), 64 * 1024),
    ] {
        let body = Transfer::new(bounds, declared);
        assert_eq!(body.capacity_for(10), capacity, "{declared:?}");
    }
    let small = Bounds {
        message: 1000,
        header: 1000,
    };
    assert_eq!(Transfer::new(small, Some(30_000)).capacity_for(10), 1000);
}

proptest! {
    #[test]
    fn the_split_into_chunks_makes_no_difference(
        input in prop::collection::vec(prop::sample::select(&b"a.\r\n"[..]), 0..40),
        size in 1_usize..7,
    ) {
        let (whole, one) = read([&input[..]], 20);
        let (cut, other) = read(input.chunks(size), 20);
        prop_assert_eq!(whole, cut);
        if let Progress::End(_) = whole {
            prop_assert_eq!(one.finish(), other.finish());
        }
    }

    #[test]
    fn any_message_survives(lines in prop::collection::vec("[^\n]{0,20}", 0..8), size in 1_usize..9) {
        let message = lines.iter().fold(String::new(), |all, line| all + line + "\r\n");
        let stuffed = |line: &str| if line.starts_with('.') { "." } else { "" };
        let mut wire = lines
            .iter()
            .fold(String::new(), |all, line| all + stuffed(line) + line + "\r\n");
        wire.push_str(".\r\n");
        let (progress, body) = read(wire.as_bytes().chunks(size), 10_000);
        prop_assert_eq!(progress, Progress::End(wire.len()));
        prop_assert_eq!(body.finish(), Ok(message.into_bytes()));
    }
}
