//! RFC 9112, as far as the example speaks it.

use crate::http::{MAX_BODY, MAX_HEAD, PATTERN, Status};
use crate::pipe::{answers, codes, say};

/// All at once.
const WHOLE: usize = usize::MAX;
const GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
const HELLO: &[u8] = b"Hello from a queue.\n";

/// A request with these headers behind its `Host`.
fn request(line: &str, headers: &str) -> Vec<u8> {
    format!("{line}\r\nHost: x\r\n{headers}\r\n").into_bytes()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn whoever_says_nothing_is_told_nothing() {
    let seen = say(b"", WHOLE);
    assert!(seen.output.is_empty());
    assert!(seen.answered.is_empty());
}

#[test]
fn a_request_is_answered_in_one_write() {
    let seen = say(GET, WHOLE);
    let answers = answers(&seen.output, &[]);
    let [answer] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!((answer.code, answer.body.as_slice()), (200, HELLO));
    assert_eq!(header(&answer.headers, "Connection"), None, "it stays");
    assert_eq!(seen.writes, 1);
    assert_eq!(seen.answered, [Status::Ok]);
}

#[test]
fn requests_that_come_together_are_answered_together_and_in_order() {
    let mut input = request("GET /bytes/3 HTTP/1.1", "");
    input.extend(request("HEAD /bytes/4 HTTP/1.1", ""));
    input.extend(request("GET /nothing HTTP/1.1", ""));
    input.extend(request("POST /hello HTTP/1.1", "Content-Length: 6\r\n"));
    input.extend(b"GET / ");
    input.extend(GET);
    let seen = say(&input, WHOLE);
    let answers = answers(&seen.output, &[1]);
    let short: Vec<_> = answers
        .iter()
        .map(|one| {
            let len = header(&one.headers, "Content-Length").expect("a length");
            (one.code, len.to_owned(), one.body.len())
        })
        .collect();
    let expected = [
        (200, 3, 3),
        (200, 4, 0),
        (404, 14, 14),
        (405, 23, 23),
        (200, 20, 20),
    ];
    let expected = expected.map(|(code, said, len)| (code, said.to_string(), len));
    assert_eq!(short, expected);
    assert_eq!(header(&answers[3].headers, "Allow"), Some("GET, HEAD"));
    assert_eq!(seen.writes, 1);
}

#[test]
fn the_answer_is_the_same_however_the_request_is_cut() {
    let mut input = b"\r\n".to_vec();
    for _ in 0..3 {
        input.extend(request("GET /bytes/70000 HTTP/1.1", "Accept: */*\r\n"));
        input.extend(request("PUT / HTTP/1.1", "Content-Length: 3\r\n"));
        input.extend(b"\r\n\r");
        input.extend(request("GET /hello?a=b HTTP/1.1", ""));
    }
    input.extend(request("GET / HTTP/1.1", "Connection: foo, Close\r\n"));
    input.extend(GET);
    let whole = say(&input, WHOLE);
    assert_eq!(
        codes(&whole),
        [200, 405, 200, 200, 405, 200, 200, 405, 200, 200]
    );
    for piece in (1..40).chain([1_000, 10_000]) {
        let seen = say(&input, piece);
        assert_eq!(seen.output, whole.output, "in pieces of {piece}");
        assert_eq!(seen.answered, whole.answered, "in pieces of {piece}");
    }
}

#[test]
fn a_connection_closes_when_either_side_says_so_and_is_read_to_its_end() {
    for (line, headers, stays, said) in [
        ("GET / HTTP/1.1", "", true, None),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\n", true, None),
        (
            "GET / HTTP/1.1",
            "Connection: close\r\n",
            false,
            Some("close"),
        ),
        (
            "GET / HTTP/1.1",
            "connection: a,CLOSE ,b\r\n",
            false,
            Some("close"),
        ),
        ("GET / HTTP/1.0", "", false, Some("close")),
        (
            "GET / HTTP/1.0",
            "Connection: Keep-Alive\r\n",
            true,
            Some("keep-alive"),
        ),
        (
            "GET / HTTP/1.0",
            "Connection: keep-alive, close\r\n",
            false,
            Some("close"),
        ),
    ] {
        let mut input = request(line, headers);
        input.extend(GET);
        let seen = say(&input, WHOLE);
        let answers = answers(&seen.output, &[]);
        let connection = header(&answers[0].headers, "Connection");
        assert_eq!(
            (answers.len() == 2, connection),
            (stays, said),
            "{line} {headers}"
        );
        assert_eq!(seen.unread, 0);
    }
}

#[test]
fn http_1_0_needs_no_host_and_http_1_1_exactly_one() {
    assert_eq!(codes(&say(b"GET / HTTP/1.0\r\n\r\n", WHOLE)), [200]);
    assert_eq!(codes(&say(b"GET / HTTP/1.1\r\n\r\n", WHOLE)), [400]);
    assert_eq!(
        codes(&say(&request("GET / HTTP/1.1", "Host: y\r\n"), WHOLE)),
        [400]
    );
}

#[test]
fn a_target_may_be_whole_and_have_a_query() {
    for (target, code) in [
        ("/hello?", 200),
        ("/hello?/nothing", 200),
        ("http://x/hello", 200),
        ("HTTP://x:80/hello?a", 200),
        ("http://x", 200),
        ("ftp://x/hello", 404),
        ("hello", 404),
        ("/hello/", 404),
        ("*", 404),
        ("/bytes/", 404),
        ("/bytes/-1", 404),
        ("/bytes/99999999999999999999", 404),
        ("/bytes/9999999999999", 404),
    ] {
        let seen = say(&request(&format!("GET {target} HTTP/1.1"), ""), WHOLE);
        assert_eq!(codes(&seen), [code], "{target}");
    }
}

#[test]
fn what_is_no_request_is_refused_once() {
    for (input, code) in [
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        ("G\0T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1} a TLS client", 400),
    ] {
        let seen = say(&[input.as_bytes(), GET].concat(), WHOLE);
        assert_eq!(codes(&seen), [code], "{input:?}");
        assert_eq!(seen.unread, 0, "{input:?}");
    }
}

#[test]
fn a_peer_that_ends_within_a_request_is_told_nothing_more() {
    let cut = &GET[..GET.len() - 1];
    assert!(say(cut, WHOLE).output.is_empty());
    let body = request("POST / HTTP/1.1", "Content-Length: 5\r\n");
    let seen = say(&[GET, &body, b"1234"].concat(), WHOLE);
    assert_eq!(codes(&seen), [200]);
}

#[test]
fn a_head_of_8_kib_is_read_and_one_byte_more_is_not() {
    let with = |len: usize| {
        let empty = request("GET / HTTP/1.1", "A: \r\n").len();
        request(
            "GET / HTTP/1.1",
            &format!("A: {}\r\n", "a".repeat(len - empty)),
        )
    };
    for piece in [1, 1_000, WHOLE] {
        assert_eq!(codes(&say(&with(MAX_HEAD), piece)), [200]);
        assert_eq!(codes(&say(&with(MAX_HEAD + 1), piece)), [431]);
        let endless = vec![b'a'; 3 * MAX_HEAD];
        assert_eq!(codes(&say(&endless, piece)), [431]);
    }
    assert_eq!(
        codes(&say(
            &request("GET / HTTP/1.1", &"A: b\r\n".repeat(64)),
            WHOLE
        )),
        [431]
    );
    assert_eq!(
        codes(&say(
            &request("GET / HTTP/1.1", &"A: b\r\n".repeat(63)),
            WHOLE
        )),
        [200]
    );
}

#[test]
fn a_body_is_skipped_up_to_its_bound() {
    for len in [0, 1, MAX_HEAD - 1, 100_000, MAX_BODY as usize] {
        let head = request("POST / HTTP/1.1", &format!("Content-Length: {len}\r\n"));
        let seen = say(&[&head, vec![b'G'; len].as_slice(), GET].concat(), 4_096);
        assert_eq!(codes(&seen), [405, 200], "{len}");
    }
    for len in ["1048577", "99999999999999999999999"] {
        let head = request("GET / HTTP/1.1", &format!("Content-Length: {len}\r\n"));
        assert_eq!(codes(&say(&[&head, GET].concat(), WHOLE)), [413], "{len}");
    }
}

#[test]
fn a_body_of_unclear_length_is_refused() {
    for (headers, code) in [
        ("Content-Length: x\r\n", 400),
        ("Content-Length: \r\n", 400),
        ("Content-Length: +1\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 1, 1\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Transfer-Encoding: gzip, Chunked\r\n", 411),
        ("Transfer-Encoding: gzip\r\n", 501),
    ] {
        let seen = say(&[&request("POST / HTTP/1.1", headers), GET].concat(), WHOLE);
        assert_eq!(codes(&seen), [code], "{headers}");
    }
}

#[test]
fn a_body_that_waits_to_be_wanted_is_not() {
    let headers = "Expect: 100-Continue\r\nContent-Length: 5\r\n";
    let seen = say(&request("POST / HTTP/1.1", headers), WHOLE);
    let answers = answers(&seen.output, &[]);
    assert_eq!((answers.len(), answers[0].code), (1, 405));
    assert_eq!(header(&answers[0].headers, "Connection"), Some("close"));
    // Nor does it matter where there is none.
    let headers = "Expect: 100-continue\r\n";
    assert_eq!(
        codes(&say(
            &[&request("GET / HTTP/1.1", headers), GET].concat(),
            WHOLE
        )),
        [200, 200]
    );
}

#[test]
fn long_answers_are_whole_and_leave_in_large_writes() {
    for len in [0, 1, PATTERN.len(), PATTERN.len() + 1, 1_000_000] {
        let seen = say(&request(&format!("GET /bytes/{len} HTTP/1.1"), ""), WHOLE);
        let answers = answers(&seen.output, &[]);
        let expected = PATTERN.iter().cycle().take(len);
        assert!(answers[0].body.iter().eq(expected), "{len} bytes");
        assert!(
            seen.writes <= 1 + len / (16 * 1_024),
            "{} writes for {len} bytes",
            seen.writes
        );
    }
    // Without its body it takes no time.
    let seen = say(&request("HEAD /bytes/1000000000000 HTTP/1.1", ""), WHOLE);
    assert_eq!(answers(&seen.output, &[0])[0].code, 200);
}

#[test]
fn whatever_is_said_the_answers_are_well_formed_and_as_many_as_are_counted() {
    let seeds = [
        GET.to_vec(),
        request(
            "POST /hello HTTP/1.1",
            "Content-Length: 12\r\nConnection: close\r\n",
        ),
        request(
            "GET /bytes/10 HTTP/1.0",
            "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
        ),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    const ODD: &[u8] = b"\r\n\0 :,0123456789/GTP\xff";
    for _ in 0..20_000 {
        let mut input = Vec::new();
        for _ in 0..1 + random(4) {
            input.extend_from_slice(&seeds[random(seeds.len())]);
        }
        for _ in 0..random(6) {
            let at = random(input.len());
            match random(3) {
                0 => input[at] = ODD[random(ODD.len())],
                1 => input.insert(at, ODD[random(ODD.len())]),
                _ => drop(input.remove(at)),
            }
        }
        let piece = 1 + random(input.len());
        let seen = say(&input, piece);
        assert_eq!(codes(&seen).len(), seen.answered.len());
    }
}
