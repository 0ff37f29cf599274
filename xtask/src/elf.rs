//! Reads the ELF files of the probe: how large the program is, how large its named symbols are,
//! and which functions call which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::{SHF_ALLOC, SHF_WRITE, SHT_NOBITS};
use object::{
    File, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SymbolKind,
};

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

/// The facts of one program.
pub(crate) struct Program {
    pub(crate) sections: Sections,
    sizes: BTreeMap<String, u64>,
    /// The callers of each function, by their readable names.
    callers: BTreeMap<String, BTreeSet<String>>,
}

impl Program {
    /// The program in this file, which must have been linked with `--emit-relocs`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let file = File::parse(&*bytes).with_context(|| path.display().to_string())?;
        Ok(Self {
            sections: sections(&file),
            sizes: sizes(&file),
            callers: callers(&file)?,
        })
    }

    /// The symbols whose names start with `prefix`: the rest of the name, and the size.
    pub(crate) fn sizes<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let symbols = self.sizes.iter();
        symbols.filter_map(move |(name, &size)| Some((name.strip_prefix(prefix)?, size)))
    }

    /// Every way from code outside the standard library into a panic: the function that is left,
    /// and the calls down to the panic.
    pub(crate) fn panic_paths(&self) -> BTreeSet<String> {
        let roots = self.callers.keys().filter(|name| is_panic(name));
        let mut pending: Vec<Vec<&str>> = roots.map(|name| vec![name.as_str()]).collect();
        let mut seen = BTreeSet::new();
        let mut paths = BTreeSet::new();
        while let Some(path) = pending.pop() {
            for caller in self.callers.get(path[0]).into_iter().flatten() {
                let longer: Vec<&str> = [caller.as_str()].into_iter().chain(path.clone()).collect();
                if !is_library(caller) {
                    paths.insert(longer.join(" -> "));
                } else if seen.insert(caller) {
                    pending.push(longer);
                }
            }
        }
        paths
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

fn callers(file: &File<'_>) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let functions = Functions::of(file);
    let mut callers = BTreeMap::<_, BTreeSet<_>>::new();
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
            let caller = match functions.at(place) {
                Some(name) => name.to_owned(),
                None => section.name()?.to_owned(),
            };
            callers
                .entry(readable(callee.name()?))
                .or_default()
                .insert(caller);
        }
    }
    Ok(callers)
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
