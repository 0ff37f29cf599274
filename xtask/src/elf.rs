//! Reads the ELF files of what is built for chips: how large the program is, how large its named
//! symbols are, which functions call which, whose the code is, and what goes into flash.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use anyhow::{Context, Result, bail, ensure};
use object::elf::{PT_LOAD, SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::read::elf::ProgramHeader;
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SymbolKind,
};

use crate::uf2::Image;

/// What the program takes of the memories of the target.
#[derive(Clone, Copy)]
pub(crate) struct Sections {
    /// Code, constants and the vector table: in flash.
    pub(crate) text: u64,
    /// Variables with an initial value: in RAM, and the value in flash.
    pub(crate) data: u64,
    /// Variables that start as zero or as nothing: in RAM.
    pub(crate) bss: u64,
}

impl Sections {
    /// What must be stored: code, and the initial values.
    pub(crate) fn flash(self) -> u64 {
        self.text + self.data
    }

    /// What the variables take; the stack is the program's own affair.
    pub(crate) fn ram(self) -> u64 {
        self.data + self.bss
    }
}

/// The facts of one program.
pub(crate) struct Program {
    pub(crate) sections: Sections,
    sizes: BTreeMap<String, u64>,
    calls: Vec<Call>,
}

/// A place in the code that refers to a function; the names as people write them.
struct Call {
    caller: String,
    callee: String,
    /// Where the place is in the source, as near as the file can tell.
    site: String,
}

impl Program {
    /// The program in this file, which must have been linked with `--emit-relocs`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let file = File::parse(&*bytes).with_context(|| path.display().to_string())?;
        Ok(Self {
            sections: sections(&file),
            sizes: sizes(&file),
            calls: calls(&file)?,
        })
    }

    /// The symbols whose names start with `prefix`: the rest of the name, and the size.
    pub(crate) fn sizes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let symbols = self.sizes.iter();
        symbols.filter_map(move |(name, &size)| Some((name.strip_prefix(prefix)?, size)))
    }

    /// The sizes of the statics with this path, as people write it.
    pub(crate) fn statics<'a>(&'a self, path: &'a str) -> impl Iterator<Item = u64> {
        let symbols = self.sizes.iter();
        symbols.filter_map(move |(name, &size)| (readable(name) == path).then_some(size))
    }

    /// Every call that leads from code outside the standard library into a panic: the line that
    /// makes it, and what it calls there.
    pub(crate) fn panic_paths(&self) -> BTreeSet<String> {
        let panicking = self.panicking_library();
        let into_panic = self
            .calls
            .iter()
            .filter(|call| !is_library(&call.caller) && panicking.contains(call.callee.as_str()));
        into_panic
            .map(|call| format!("{} -> {}", call.site, call.callee))
            .collect()
    }

    /// The functions of the standard library from which a panic can be reached.
    fn panicking_library(&self) -> BTreeSet<&str> {
        let callees = self.calls.iter().map(|call| call.callee.as_str());
        let mut pending: Vec<&str> = callees.filter(|name| is_panic(name)).collect();
        let mut panicking = BTreeSet::new();
        while let Some(callee) = pending.pop() {
            if panicking.insert(callee) {
                let calls = self.calls.iter().filter(|call| call.callee == callee);
                let callers = calls.map(|call| call.caller.as_str());
                pending.extend(callers.filter(|caller| is_library(caller)));
            }
        }
        panicking
    }
}

fn is_panic(name: &str) -> bool {
    name.starts_with("core::panicking::") || name.ends_with("rust_begin_unwind")
}

/// Whether a panic in this function is the business of whoever calls it.
fn is_library(name: &str) -> bool {
    let name = name.trim_start_matches('<');
    ["core::", "alloc::", "OUTLINED_FUNCTION"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || is_panic(name)
}

/// The sources of the standard library, where we build it and where the Rust project built it.
fn is_library_source(file: &str) -> bool {
    file.contains("/rust/library/") || file.starts_with("/rustc/")
}

/// What of the program in this file goes into flash, from its start to its end.
pub(crate) fn image(path: &Path) -> Result<Image> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let File::Elf32(file) = File::parse(&*bytes)? else {
        bail!("{}: not for a chip of 32 bits", path.display());
    };
    let endian = file.endian();
    let mut parts = Vec::new();
    for header in file.elf_program_headers() {
        let content = header.data(endian, &*bytes).ok().unwrap_or_default();
        if header.p_type(endian) == PT_LOAD && !content.is_empty() {
            parts.push((header.p_paddr(endian), content));
        }
    }
    parts.sort_by_key(|(start, _)| *start);
    let (start, _) = *parts.first().context("nothing is to be loaded")?;
    let mut image = Image {
        start,
        bytes: Vec::new(),
    };
    for (address, content) in parts {
        let place = (address - start) as usize;
        ensure!(place >= image.bytes.len(), "two parts at {address:#x}");
        image.bytes.resize(place, 0);
        image.bytes.extend_from_slice(content);
    }
    Ok(image)
}

/// Whose the code in this file is, function by function as they were written: the bytes of each source.
/// What the compiler has inlined counts for whoever wrote it, and the standard library for who calls it.
pub(crate) fn code_by_source(path: &Path) -> Result<BTreeMap<String, u64>> {
    /// The shortest instruction.
    const STEP: u64 = 2;
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let file = File::parse(&*bytes)?;
    let lines = Lines::of(&file)?;
    let mut sources = BTreeMap::new();
    for (range, _) in Functions::of(&file).0.values() {
        for place in range.clone().step_by(STEP as usize) {
            let source = lines.source(place).unwrap_or_default();
            *sources.entry(source).or_default() += STEP;
        }
    }
    Ok(sources)
}

fn sections(file: &File<'_>) -> Sections {
    let mut total = Sections {
        text: 0,
        data: 0,
        bss: 0,
    };
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, sh_type } = section.flags() else {
            continue;
        };
        if !sh_flags.contains(SHF_ALLOC) {
            continue;
        }
        let class = if sh_type == SHT_NOBITS {
            &mut total.bss
        } else if sh_flags.contains(SHF_WRITE) {
            &mut total.data
        } else {
            &mut total.text
        };
        *class += section.size();
    }
    total
}

fn sizes(file: &File<'_>) -> BTreeMap<String, u64> {
    file.symbols()
        .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.size())))
        .collect()
}

fn calls(file: &File<'_>) -> Result<Vec<Call>> {
    let functions = Functions::of(file);
    let lines = Lines::of(file)?;
    let mut calls = Vec::new();
    for section in file.sections() {
        for (place, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let callee = file.symbol_by_index(index)?;
            if callee.kind() != SymbolKind::Text {
                continue;
            }
            // A table of function pointers belongs to no function; its section stands for it.
            let caller = functions.at(place).unwrap_or(section.name()?);
            calls.push(Call {
                caller: caller.to_owned(),
                callee: readable(callee.name()?),
                site: lines.outside_library(place).unwrap_or(caller.to_owned()),
            });
        }
    }
    Ok(calls)
}

/// The functions of a program by where they start.
struct Functions(BTreeMap<u64, (Range<u64>, String)>);

impl Functions {
    fn of(file: &File<'_>) -> Self {
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let by_start = functions.filter_map(|symbol| {
            // The lowest bit of the address says Thumb, not where the code is.
            let start = symbol.address() & !1;
            let name = readable(symbol.name().ok()?);
            Some((start, (start..start + symbol.size(), name)))
        });
        Self(by_start.collect())
    }

    fn at(&self, place: u64) -> Option<&str> {
        let (_, (range, name)) = self.0.range(..=place).next_back()?;
        range.contains(&place).then_some(name)
    }
}

fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// Which line of the source each instruction comes from.
struct Lines<'a>(addr2line::Context<EndianSlice<'a, LittleEndian>>);

impl<'a> Lines<'a> {
    fn of(file: &File<'a>) -> Result<Self> {
        let dwarf = Dwarf::load(|id| {
            let section = file.section_by_name(id.name());
            let data = section.map_or(Ok(&[][..]), |section| section.data())?;
            Ok::<_, anyhow::Error>(EndianSlice::new(data, LittleEndian))
        })?;
        Ok(Self(addr2line::Context::from_dwarf(dwarf)?))
    }

    /// The innermost function around this place, inlined ones included, that is not of the
    /// standard library, and the line in it.
    fn outside_library(&self, place: u64) -> Option<String> {
        let mut frames = self.0.find_frames(place).skip_all_loads().ok()?;
        while let Some(frame) = frames.next().ok()? {
            let (function, location) = (frame.function?, frame.location?);
            let (file, line) = (location.file?, location.line?);
            if !is_library_source(file) {
                return Some(format!("{file}:{line} ({})", function.demangle().ok()?));
            }
        }
        None
    }

    /// The file of the innermost function around this place that is not of the standard library.
    fn source(&self, place: u64) -> Option<String> {
        let mut frames = self.0.find_frames(place).skip_all_loads().ok()?;
        let mut source = None;
        while let Some(frame) = frames.next().ok()? {
            let Some(file) = frame.location.and_then(|location| location.file) else {
                continue;
            };
            source = Some(file.to_owned());
            if !is_library_source(file) {
                break;
            }
        }
        source
    }
}
