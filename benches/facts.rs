//! Messages parsed in a second. The promise is 30,000 of 5 KiB on two cores, so 15,000 on one; `cargo bench
//! --bench facts` measures one core.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vestibule::domain::{Domain, Envelope, ReversePath};
use vestibule::mail::{Identity, read};

const SIZE: usize = 5 * 1024;

/// Header fields of mail that passed three servers and a filter.
const TRACE: &str = "Received: from mx.corp.example (mx.corp.example [192.0.2.1])\r\n\
    \tby gate.corp.example with ESMTPS id 4F0Abc; Mon, 23 Nov 2026 09:00:02 +0000\r\n\
    Authentication-Results: mx.corp.example; dkim=pass header.d=corp.example;\r\n\
    \tspf=pass smtp.mailfrom=ann@corp.example; dmarc=pass (p=reject) header.from=corp.example\r\n\
    Received: from out.corp.example (out.corp.example [192.0.2.7])\r\n\
    \tby mx.corp.example with ESMTPS id 4F0Aba; Mon, 23 Nov 2026 09:00:01 +0000\r\n\
    Received: from [198.51.100.4] by out.corp.example; Mon, 23 Nov 2026 09:00:00 +0000\r\n\
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=corp.example; s=2026;\r\n\
    \th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\
    \tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZVoG4ZHRNiYzR\r\n\
    X-Spam-Status: No, score=-2.1 required=5.0 tests=DKIM_VALID,SPF_PASS autolearn=ham\r\n\
    X-Mailer: Mailer 1.0\r\n";

fn plain() -> Vec<u8> {
    padded(
        "From: =?utf-8?q?Ann_M=C3=BCller?= <ann@corp.example>\r\nTo: it-help@corp.example\r\n\
         Subject: =?utf-8?q?Der_Drucker_l=C3=A4uft_=C3=BCber?=\r\n\
         Message-ID: <1@corp.example>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        "",
    )
}

fn multipart() -> Vec<u8> {
    padded(
        "From: Ann Lee <ann@corp.example>\r\nTo: it-help@corp.example\r\nSubject: Printer\r\n\
         Message-ID: <2@corp.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain\r\n\r\nPrinter.\r\n--=_b\r\nContent-Type: text/html\r\n\r\n",
        "--=_b--\r\n",
    )
}

fn report() -> Vec<u8> {
    padded(
        "From: MAILER-DAEMON@mx.customer.example\r\nTo: no-reply@corp.example\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=r\r\n\r\n\
         --r\r\n\r\nIt could not be delivered.\r\n--r\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.customer.example\r\n\r\nFinal-Recipient: rfc822; x@customer.example\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--r\r\nContent-Type: message/rfc822\r\n\r\n\
         Message-ID: <letter@gate.corp.example>\r\n\r\n",
        "--r--\r\n",
    )
}

fn padded(head: &str, tail: &str) -> Vec<u8> {
    let mut raw = format!("{TRACE}{head}");
    while raw.len() + tail.len() < SIZE {
        raw.push_str("The printer on the third floor is on fire, and so is the fax.\r\n");
    }
    raw.push_str(tail);
    raw.into_bytes()
}

fn facts(criterion: &mut Criterion) {
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: Some("mx.corp.example".to_owned()),
        spam: [].into(),
    };
    let envelope = Envelope {
        reverse_path: ReversePath::Mailbox("ann@corp.example".to_owned()),
        recipients: Vec::new(),
        helo: "mx.corp.example".to_owned(),
        peer: None,
        client: None,
        tls: false,
        smtputf8: false,
    };
    let mut group = criterion.benchmark_group("facts");
    group.throughput(Throughput::Elements(1));
    for (name, raw) in [
        ("plain", plain()),
        ("multipart", multipart()),
        ("report", report()),
    ] {
        group.bench_with_input(BenchmarkId::from_parameter(name), &raw, |bencher, raw| {
            bencher.iter(|| read(black_box(raw), &envelope, &own));
        });
    }
    group.finish();
}

criterion_group!(benches, facts);
criterion_main!(benches);
