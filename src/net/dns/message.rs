//! Questions and answers (RFC 1035 section 4): one question, and what an answer to it says.

use core::net::Ipv4Addr;

use super::name::Name;

/// The longest message over UDP (RFC 1035 section 4.2.1).
pub(super) const MESSAGE_LEN: usize = 512;

const HEADER_LEN: usize = 12;
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_PTR: u16 = 12;

const IS_RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const IS_TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RCODE: u16 = 0x000f;
const NAME_ERROR: u8 = 3;

/// How many aliases lead to a name at the most.
pub(super) const MOST_ALIASES: usize = 8;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Pointer,
}

impl Kind {
    const fn number(self) -> u16 {
        match self {
            Self::Address => TYPE_A,
            Self::Pointer => TYPE_PTR,
        }
    }
}

/// One question, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) name: Name,
    pub(super) kind: Kind,
}

/// What somebody who was asked says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Address(Ipv4Addr),
    Pointer(Name),
    /// The name is another's alias, of which nothing more is said.
    Alias(Name),
    /// There is no such name, or nothing of that kind is known of it.
    Nothing,
    /// Aliases that lead to each other, or too many of them.
    Loop,
    /// More than fits, and what fits is not enough.
    Truncated,
    /// The server could not or would not: its code.
    Failed(u8),
}

impl Question {
    /// Writes the message. Returns its length.
    pub(super) fn emit(&self, message: &mut [u8; MESSAGE_LEN]) -> usize {
        let Self { id, name, kind } = self;
        let name = name.as_bytes();
        let header = [*id, RECURSION_DESIRED, 1, 0, 0, 0];
        let kind = [kind.number(), CLASS_IN];
        let (at_name, at_kind) = (HEADER_LEN, HEADER_LEN + name.len());
        for (place, word) in message.chunks_exact_mut(2).zip(header) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        message[at_name..at_kind].copy_from_slice(name);
        for (place, word) in message[at_kind..].chunks_exact_mut(2).zip(kind) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        at_kind + 4
    }

    /// What a message says to this question; `None` if it is no answer to it, or no message.
    pub(super) fn answered_by(&self, message: &[u8]) -> Option<Answer> {
        let mut reader = Reader { message, at: 0 };
        let id = reader.word()?;
        let flags = reader.word()?;
        let questions = reader.word()?;
        let answers = reader.word()?;
        let _authorities = reader.word()?;
        let _others = reader.word()?;
        let asked = (reader.name()?, reader.word()?, reader.word()?);
        let is_ours = id == self.id
            && flags & (IS_RESPONSE | OPCODE) == IS_RESPONSE
            && questions == 1
            && asked == (self.name, self.kind.number(), CLASS_IN);
        if !is_ours {
            return None;
        }
        match (flags & RCODE) as u8 {
            0 => {}
            NAME_ERROR => return Some(Answer::Nothing),
            code => return Some(Answer::Failed(code)),
        }
        let is_cut = flags & IS_TRUNCATED != 0;
        match self.follow(reader, answers) {
            // What is missing was cut off.
            Some(Answer::Nothing) | None if is_cut => Some(Answer::Truncated),
            answer => answer,
        }
    }

    /// Goes from alias to alias.
    fn follow(&self, records: Reader<'_>, number: u16) -> Option<Answer> {
        let mut name = self.name;
        for hops in 0..=MOST_ALIASES {
            match self.look_up(&name, records, number)? {
                Answer::Alias(other) => name = other,
                Answer::Nothing if hops > 0 => return Some(Answer::Alias(name)),
                answer => return Some(answer),
            }
        }
        Some(Answer::Loop)
    }

    /// What the records say of one name.
    fn look_up(&self, name: &Name, mut records: Reader<'_>, number: u16) -> Option<Answer> {
        let mut alias = None;
        for _ in 0..number {
            let Record { owner, kind, data } = records.record()?;
            if owner != *name {
                continue;
            }
            match (self.kind, kind) {
                (Kind::Address, TYPE_A) => {
                    let octets = <[u8; 4]>::try_from(data.bytes()).ok()?;
                    return Some(Answer::Address(octets.into()));
                }
                (Kind::Pointer, TYPE_PTR) => return data.name().map(Answer::Pointer),
                (Kind::Address | Kind::Pointer, TYPE_CNAME) => alias = Some(data.name()?),
                (Kind::Address | Kind::Pointer, _) => {}
            }
        }
        Some(alias.map_or(Answer::Nothing, Answer::Alias))
    }
}

struct Record<'m> {
    owner: Name,
    /// Its type, if its class is ours; zero, which is none, otherwise.
    kind: u16,
    data: Data<'m>,
}

/// A record's data: a part of the message, and where it begins.
struct Data<'m> {
    message: &'m [u8],
    at: usize,
    len: usize,
}

impl<'m> Data<'m> {
    fn bytes(&self) -> &'m [u8] {
        &self.message[self.at..self.at + self.len]
    }

    /// The name that the data is; it may go on further forward in the message.
    fn name(&self) -> Option<Name> {
        let mut reader = Reader {
            message: &self.message[..self.at + self.len],
            at: self.at,
        };
        let name = reader.name()?;
        (reader.at == self.at + self.len).then_some(name)
    }
}

#[derive(Clone, Copy)]
struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn word(&mut self) -> Option<u16> {
        let &word = self.message.get(self.at..)?.first_chunk()?;
        self.at += 2;
        Some(u16::from_be_bytes(word))
    }

    /// A name, perhaps with its end elsewhere (RFC 1035 section 4.1.4). A pointer has to point to
    /// before the place where it was come from, so that every way through a message ends.
    fn name(&mut self) -> Option<Name> {
        let mut name = Name::ROOT;
        let mut at = self.at;
        let mut begin = at;
        let mut behind = None;
        loop {
            let &len = self.message.get(at)?;
            match len {
                0 => {
                    self.at = behind.unwrap_or(at + 1);
                    return Some(name);
                }
                1..=63 => {
                    let end = at + 1 + usize::from(len);
                    let label = self.message.get(at + 1..end)?;
                    if !name.push(label) {
                        return None;
                    }
                    at = end;
                }
                0xc0.. => {
                    let &low = self.message.get(at + 1)?;
                    behind = behind.or(Some(at + 2));
                    at = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    if at >= begin {
                        return None;
                    }
                    begin = at;
                }
                64..0xc0 => return None,
            }
        }
    }

    fn record(&mut self) -> Option<Record<'m>> {
        let owner = self.name()?;
        let kind = self.word()?;
        let class = self.word()?;
        let _time_to_live = (self.word()?, self.word()?);
        let len = usize::from(self.word()?);
        let at = self.at;
        self.message.get(at..at + len)?;
        self.at += len;
        Some(Record {
            owner,
            kind: if class == CLASS_IN { kind } else { 0 },
            data: Data {
                message: self.message,
                at,
                len,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    /// Points to the name in the question.
    const ASKED: &[u8] = &[0xc0, 12];

    fn question(name: &str, kind: Kind) -> Question {
        Question {
            id: 0x1234,
            name: Name::from_text(name).unwrap(),
            kind,
        }
    }

    /// An answer with these flags and records: owner, type and data.
    fn answer(question: &Question, flags: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut message = [0; MESSAGE_LEN];
        let len = question.emit(&mut message);
        let mut message = message[..len].to_vec();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[7] = records.len() as u8;
        for (owner, kind, data) in records {
            message.extend_from_slice(owner);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&(data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn a_question_is_as_rfc_1035_has_it() {
        let mut message = [0; MESSAGE_LEN];
        let len = question("a.bc", Kind::Address).emit(&mut message);
        let expected = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01";
        assert_eq!(&message[..len], expected);
    }

    #[test]
    fn an_address_is_found_behind_its_aliases_in_any_order() {
        let question = question("www.example", Kind::Address);
        let records: [(&[u8], u16, &[u8]); 4] = [
            (b"\x01b\0", TYPE_A, &ADDRESS.octets()),
            (b"\x05other\0", TYPE_A, &[10, 0, 0, 9]),
            (b"\x01a\0", TYPE_CNAME, b"\x01B\0"),
            (ASKED, TYPE_CNAME, b"\x01a\0"),
        ];
        let message = answer(&question, 0x8180, &records);
        assert_eq!(
            question.answered_by(&message),
            Some(Answer::Address(ADDRESS))
        );
        // Without the last step it has to be asked for.
        let message = answer(&question, 0x8180, &records[1..]);
        let alias = Answer::Alias(Name::from_text("b").unwrap());
        assert_eq!(question.answered_by(&message), Some(alias));
    }

    #[test]
    fn aliases_that_lead_to_each_other_are_a_loop() {
        let question = question("a", Kind::Address);
        let records: [(&[u8], u16, &[u8]); 2] = [
            (ASKED, TYPE_CNAME, b"\x01b\0"),
            (b"\x01b\0", TYPE_CNAME, b"\x01a\0"),
        ];
        let message = answer(&question, 0x8180, &records);
        assert_eq!(question.answered_by(&message), Some(Answer::Loop));
    }

    #[test]
    fn errors_and_cut_answers_are_told_apart() {
        let question = question("a", Kind::Address);
        let say = |flags, records: &[(&[u8], u16, &[u8])]| {
            question.answered_by(&answer(&question, flags, records))
        };
        assert_eq!(say(0x8183, &[]), Some(Answer::Nothing));
        assert_eq!(say(0x8182, &[]), Some(Answer::Failed(2)));
        assert_eq!(say(0x8180, &[]), Some(Answer::Nothing));
        assert_eq!(say(0x8380, &[]), Some(Answer::Truncated));
        let found: (&[u8], u16, &[u8]) = (ASKED, TYPE_A, &ADDRESS.octets());
        assert_eq!(say(0x8380, &[found]), Some(Answer::Address(ADDRESS)));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        let ours = question("a", Kind::Address);
        let found: (&[u8], u16, &[u8]) = (ASKED, TYPE_A, &ADDRESS.octets());
        let right = answer(&ours, 0x8180, &[found]);
        assert!(ours.answered_by(&right).is_some());
        let forged_id = Question { id: 0x1235, ..ours };
        for other in [
            question("b", Kind::Address),
            question("a", Kind::Pointer),
            forged_id,
        ] {
            assert_eq!(ours.answered_by(&answer(&other, 0x8180, &[found])), None);
        }
        // A question is none, nor is an answer to another operation.
        for flags in [0x0180, 0x9180] {
            assert_eq!(ours.answered_by(&answer(&ours, flags, &[found])), None);
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_none_and_pointers_that_go_round_end() {
        let question = question("a", Kind::Address);
        let found: (&[u8], u16, &[u8]) = (ASKED, TYPE_A, &ADDRESS.octets());
        let message = answer(&question, 0x8180, &[found]);
        for len in 0..message.len() {
            assert_eq!(question.answered_by(&message[..len]), None, "{len}");
        }
        for round in 12..message.len() {
            let pointer = [0xc0, round as u8];
            let message = answer(&question, 0x8180, &[(&pointer, TYPE_A, &[1, 2, 3, 4])]);
            // Only the name in front of it can be meant.
            let _ = question.answered_by(&message);
        }
        let itself = answer(&question, 0x8180, &[(&[0xc0, 19], TYPE_A, &[1, 2, 3, 4])]);
        assert_eq!(question.answered_by(&itself), None);
    }

    #[test]
    fn any_bytes_behind_a_right_beginning_end_in_an_answer_or_none() {
        let question = question("a", Kind::Address);
        let right = answer(&question, 0x8180, &[(ASKED, TYPE_CNAME, b"\x01b\0")]);
        let mut random = crate::random::Random::new(1);
        for _ in 0..20_000 {
            let mut message = right.clone();
            for _ in 0..3 {
                let at = random.next() as usize % message.len();
                message[at] = random.next() as u8;
            }
            let _ = question.answered_by(&message);
        }
    }
}
