//! What relays add on the way (RFC 3046).

use super::options::OptionValue;

/// Relay agent information: sub-options that a server gives back as they are.
#[derive(Clone, Copy, Debug)]
pub struct RelayInfo<'a>(OptionValue<'a>);

impl<'a> RelayInfo<'a> {
    /// `None` unless all sub-options are whole. Split ones are not looked into.
    pub(super) fn new(value: OptionValue<'a>) -> Option<Self> {
        let this = Self(value);
        let mut rest = this.sub_options();
        rest.by_ref().for_each(drop);
        (!value.is_empty() && rest.bytes.is_empty()).then_some(this)
    }

    /// What is to be given back, byte for byte.
    pub const fn value(&self) -> OptionValue<'a> {
        self.0
    }

    /// The sub-options, as `(code, bytes)`; none if the whole is split.
    pub fn sub_options(&self) -> SubOptions<'a> {
        SubOptions {
            bytes: self.0.as_slice().unwrap_or_default(),
        }
    }

    /// The first sub-option of this code.
    pub fn sub_option(&self, code: u8) -> Option<&'a [u8]> {
        let mut all = self.sub_options();
        all.find(|(other, _)| *other == code)
            .map(|(_, bytes)| bytes)
    }
}

/// Sub-options, one after the other, up to the first that is not whole.
#[derive(Clone, Copy, Debug)]
pub struct SubOptions<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for SubOptions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&code, rest) = self.bytes.split_first()?;
        let (&len, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(len.into())?;
        self.bytes = rest;
        Some((code, value))
    }
}
