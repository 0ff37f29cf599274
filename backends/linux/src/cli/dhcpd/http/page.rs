//! The status page: one document that needs nothing else, and no script either.

use std::fmt::{self, Display, Write};
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::server::{Binding, BindingState, Counters, DropReason, Event, Usage};
use whohas::dhcp::store::{Cause, Expiry};

use super::html::{Count, Grouped, Html, Percent, Quantile, Query, foreign};
use super::request::field;
use super::response::{Code, Response};
use crate::cli::dhcpd::control::{in_words, time};
use crate::cli::dhcpd::desk::{Desk, PoolStatus, Selection, Status, page};
use crate::cli::dhcpd::meters::{Meters, TYPES};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// How many leases are shown at once.
const LEASES: usize = 50;
/// How many addresses in quarantine are shown.
const DECLINED: usize = 20;
/// How many events are shown.
const EVENTS: usize = 12;
/// How many pools are shown, of those that there may be.
const POOLS: usize = 64;

pub(super) fn response(desk: &impl Desk, query: &str) -> Response {
    let mut out = String::with_capacity(32 * 1024);
    let nonce = nonce();
    let view = View::of(query);
    // A string takes whatever is written to it.
    let _ = document(&mut out, desk, &view, &nonce);
    Response {
        kind: "text/html; charset=utf-8",
        policy: Some(format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )),
        ..Response::text(Code::Ok, out)
    }
}

/// What marks our own style and script, so that no other is obeyed: a number that nobody has seen.
fn nonce() -> String {
    let half = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", half(), half())
}

/// Which leases are looked at.
struct View {
    after: Option<Ipv4Addr>,
    find: Option<String>,
}

impl View {
    fn of(query: &str) -> Self {
        let find = field(query, "find").map(|text| text.to_lowercase());
        Self {
            after: field(query, "after").and_then(|after| after.parse().ok()),
            find: find.filter(|find| !find.is_empty()),
        }
    }

    fn has(&self, binding: &Binding<'_>) -> bool {
        let Some(find) = &self.find else { return true };
        let named = |name: &str| name.to_lowercase().contains(find);
        // Not everything is made into text for everybody: this is asked of each lease.
        binding.host_name.is_some_and(named)
            || (find.contains('.') && binding.ip.to_string().contains(find))
            || (find.contains(':') && binding.hardware.to_string().contains(find))
    }
}

fn document(out: &mut String, desk: &impl Desk, view: &View, nonce: &str) -> fmt::Result {
    let (status, meters, now) = (desk.status(), desk.meters(), desk.now());
    let total = total(&status.pools);
    write!(
        out,
        "<!doctype html><html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{} leases · whohas dhcpd</title>\
         <noscript><meta http-equiv=refresh content=15></noscript>\
         <style nonce={nonce}>{STYLE}</style>\
         <script nonce={nonce} type=module>{SCRIPT}</script></head><body><main>",
        total.leased
    )?;
    heading(out, &status, now)?;
    tiles(out, &total, meters, now)?;
    pools(out, &status.pools)?;
    out.push_str("<div class=pair>");
    traffic(out, meters, now)?;
    events(out, meters, now)?;
    out.push_str("</div>");
    declined(out, desk, now)?;
    leases(out, desk, view, now)?;
    out.push_str("<div class=pair>");
    messages(out, &desk.counters())?;
    health(out, &status)?;
    out.push_str("</div></main></body></html>");
    Ok(())
}

fn total(pools: &[PoolStatus]) -> Usage {
    let mut total = Usage::default();
    for PoolStatus { usage, .. } in pools {
        total.capacity += usage.capacity;
        total.free += usage.free;
        total.offered += usage.offered;
        total.leased += usage.leased;
        total.reserved += usage.reserved;
        total.quarantined += usage.quarantined;
        total.excluded += usage.excluded;
    }
    total
}

fn heading(out: &mut String, status: &Status, now: Instant) -> fmt::Result {
    let fault = status.store.fault.as_deref();
    let down = status.interfaces.iter().filter(|interface| !interface.up);
    let down: Vec<&str> = down.map(|interface| interface.name.as_str()).collect();
    let pill = if fault.is_none() && down.is_empty() {
        "<span class=\"pill good\">serving</span>"
    } else {
        "<span class=\"pill bad\">in trouble</span>"
    };
    let now = time(now);
    write!(
        out,
        "<header><h1>whohas dhcpd</h1>{pill}<p>up {} · version {} · as of <time datetime=\"{now}\">{} UTC</time></p></header>\
         <p id=lost class=\"alarm bad\" role=alert>The daemon does not answer. What is shown is from {} UTC.</p>",
        in_words(status.uptime.as_secs()),
        env!("CARGO_PKG_VERSION"),
        clock(&now),
        clock(&now),
    )?;
    if let Some(fault) = fault {
        write!(
            out,
            "<p class=\"alarm bad\" role=alert>The store cannot be written: {}. Known leases are renewed, new ones are refused.</p>",
            foreign(fault)
        )?;
    }
    for name in down {
        write!(
            out,
            "<p class=\"alarm bad\" role=alert>The link of {} is down.</p>",
            foreign(name)
        )?;
    }
    Ok(())
}

/// The time of day in a time.
fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or(time)
}

fn tiles(out: &mut String, total: &Usage, meters: &Meters, now: Instant) -> fmt::Result {
    let last = meters.minutes.until(now).last().unwrap_or_default();
    let before = meters.minutes.until(now).nth(58).unwrap_or_default();
    let acks = meters.replies(whohas::wire::dhcp::MessageType::Ack);
    out.push_str("<dl class=tiles>");
    let mut tile = |name: &str, value: &dyn Display, small: &dyn Display| {
        write!(
            out,
            "<div><dt>{name}</dt><dd>{value} <small>{small}</small></dd></div>"
        )
    };
    tile(
        "Leases",
        &Grouped(total.leased),
        &format_args!("of {}", Grouped(total.capacity)),
    )?;
    tile(
        "Free",
        &Grouped(total.free),
        &Percent(total.free, total.capacity),
    )?;
    tile(
        "Declined or in use",
        &Grouped(total.quarantined),
        &format_args!("{} refused", Grouped(meters.conflicts())),
    )?;
    tile(
        "Messages a minute",
        &Grouped(u64::from(before.received.max(last.received))),
        &format_args!("{} sent", Grouped(u64::from(before.sent.max(last.sent)))),
    )?;
    tile(
        "99 % of ACKs within",
        &Quantile(acks, 0.99),
        &format_args!("median {}", Quantile(acks, 0.5)),
    )?;
    out.push_str("</dl>");
    Ok(())
}

fn pools(out: &mut String, pools: &[PoolStatus]) -> fmt::Result {
    out.push_str("<section><div class=head><h2>Pools</h2></div>");
    if pools.is_empty() {
        out.push_str("<p class=note>There are none.</p>");
    }
    for pool in pools.iter().take(POOLS) {
        let usage = &pool.usage;
        let states = [
            ("leased", usage.leased),
            ("offered", usage.offered),
            ("reserved", usage.reserved),
            ("quarantined", usage.quarantined),
            ("excluded", usage.excluded),
            ("free", usage.free),
        ];
        write!(
            out,
            "<div class=pool><p><span class=mono>{}</span><span class=soft>{} addresses of {}</span></p>\
             <svg role=img aria-label=\"{} leased of {}\">",
            foreign(&pool.pool),
            Grouped(usage.capacity),
            foreign(&pool.subnet),
            usage.leased,
            usage.capacity,
        )?;
        let mut from = 0.0;
        for (state, count) in states {
            let width = count as f64 * 100.0 / usage.capacity.max(1) as f64;
            if count > 0 {
                write!(
                    out,
                    "<rect class={state} x=\"{from:.3}%\" width=\"{width:.3}%\" height=12 />"
                )?;
            }
            from += width;
        }
        out.push_str("</svg><ul class=legend>");
        for (state, count) in states {
            if count > 0 {
                write!(
                    out,
                    "<li><i class={state}></i>{} {state}</li>",
                    Grouped(count)
                )?;
            }
        }
        out.push_str("</ul></div>");
    }
    if pools.len() > POOLS {
        write!(out, "<p class=note>And {} more.</p>", pools.len() - POOLS)?;
    }
    out.push_str("</section>");
    Ok(())
}

fn traffic(out: &mut String, meters: &Meters, now: Instant) -> fmt::Result {
    let most = meters
        .minutes
        .until(now)
        .map(|minute| minute.received)
        .max();
    let most = most.unwrap_or(0);
    write!(
        out,
        "<section class=traffic><div class=head><h2>The last hour</h2><p>messages by the minute, {} at most</p></div>\
         <svg class=chart viewBox=\"0 0 600 88\" preserveAspectRatio=none role=img aria-label=\"messages by the minute\">",
        Grouped(most.into())
    )?;
    for (at, minute) in meters.minutes.until(now).enumerate() {
        if minute.received > 0 {
            let height = (f64::from(minute.received) * 84.0 / f64::from(most)).max(1.5);
            write!(
                out,
                "<rect x={} y=\"{:.1}\" width=8 height=\"{height:.1}\"><title>{} min ago: {} received, {} of them dropped; {} sent</title></rect>",
                at * 10 + 1,
                88.0 - height,
                59 - at,
                minute.received,
                minute.dropped,
                minute.sent,
            )?;
        }
    }
    out.push_str("</svg><div class=axis><span>an hour ago</span><span>now</span></div></section>");
    Ok(())
}

fn events(out: &mut String, meters: &Meters, now: Instant) -> fmt::Result {
    out.push_str("<section><div class=head><h2>Conflicts and declines</h2></div>");
    if meters.recent.is_empty() {
        out.push_str("<p class=note>None since the daemon was started.</p></section>");
        return Ok(());
    }
    out.push_str("<ul class=events>");
    for (at, event) in meters.recent.iter().rev().take(EVENTS) {
        let ago = in_words((now - *at).as_secs());
        write!(
            out,
            "<li><time datetime=\"{}\">{ago} ago</time><span>",
            time(*at)
        )?;
        let ip = |ip: &Ipv4Addr| format!("<span class=mono>{ip}</span>");
        match event {
            Event::InUse { ip: at, mac, .. } => {
                write!(out, "{} is in use by <span class=mono>{mac}</span>", ip(at))?;
            }
            Event::Clones { ip: at, mac } => write!(
                out,
                "<span class=mono>{mac}</span> has {}, and another station asks for it by the same client \
                 identifier",
                ip(at)
            )?,
            Event::NotProbed { ip: at } => write!(out, "{} was given without a probe", ip(at))?,
            Event::DeclinedNothing { client } => {
                write!(
                    out,
                    "<span class=mono>{client}</span> declines, but names no address"
                )?;
            }
            Event::Declining { ip: at, client } => {
                write!(out, "<span class=mono>{client}</span> declines {}", ip(at))?;
            }
            Event::Declined { ip: at, .. } => write!(out, "{} is marked as declined", ip(at))?,
            Event::Conflict { ip: at, .. } => write!(out, "{} was refused: conflict", ip(at))?,
            Event::AnswersForAll { mac } => write!(
                out,
                "<span class=mono>{mac}</span> answers for all addresses, and is not believed"
            )?,
            Event::Cleared { ip: at } => write!(out, "{} can be given again", ip(at))?,
            other => write!(out, "{}", Html(format_args!("{other:?}")))?,
        }
        out.push_str("</span></li>");
    }
    out.push_str("</ul></section>");
    Ok(())
}

fn declined(out: &mut String, desk: &impl Desk, now: Instant) -> fmt::Result {
    let mut found = page(desk, None, DECLINED + 1, |binding| {
        Selection::Declined.has(binding)
    });
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len() > DECLINED;
    found.truncate(DECLINED);
    out.push_str(
        "<section><div class=head><h2>Given to nobody</h2><p>declined by a client, or found in use</p></div>\
         <table class=list><thead><tr><th>Address<th>Cleared in<th>Who<th>Why</tr></thead><tbody>",
    );
    for binding in found.iter().filter_map(|&ip| desk.binding(ip)) {
        let BindingState::Quarantined { until, cause } = binding.state else {
            continue;
        };
        let (why, who) = match cause {
            Cause::Declined { by } => ("declined", by.to_string()),
            Cause::InUse { by } => (
                "in use",
                by.map_or_else(|| "–".to_owned(), |mac| mac.to_string()),
            ),
        };
        write!(
            out,
            "<tr><td class=mono>{}<td><time datetime=\"{}\">{}</time><td class=\"mono soft\">{who}<td><span class=tag>{why}</span></tr>",
            binding.ip,
            time(until),
            in_words((until - now).as_secs()),
        )?;
    }
    out.push_str("</tbody></table>");
    if more {
        out.push_str(
            "<p class=note>And more: <code>whohas dhcpd declined</code> lists them all.</p>",
        );
    }
    out.push_str("</section>");
    Ok(())
}

fn leases(out: &mut String, desk: &impl Desk, view: &View, now: Instant) -> fmt::Result {
    let mut found = page(desk, view.after, LEASES + 1, |binding| {
        Selection::Leases.has(binding) && view.has(binding)
    });
    let more = found.len() > LEASES;
    found.truncate(LEASES);
    let find = view.find.as_deref().unwrap_or_default();
    write!(
        out,
        "<section id=leases><div class=head><h2>Leases</h2>\
         <form method=get action=\"#leases\"><input name=find type=search value=\"{}\" maxlength=64 placeholder=\"10.0.0. or 02:00: or name\" aria-label=\"find a lease\"><button>Find</button></form></div>",
        Html(find)
    )?;
    if found.is_empty() {
        let note = match (find, view.after) {
            ("", None) => "Nobody has a lease yet.",
            ("", Some(_)) => "There are no more.",
            _ => "None like that.",
        };
        write!(out, "<p class=note>{note}</p>")?;
    } else {
        out.push_str(
            "<table class=list><thead><tr><th>Address<th>Expires in<th>Hardware<th>Name</tr></thead><tbody>",
        );
        for binding in found.iter().filter_map(|&ip| desk.binding(ip)) {
            lease(out, &binding, now)?;
        }
        out.push_str("</tbody></table>");
    }
    let query = Query(find);
    out.push_str("<nav>");
    if view.after.is_some() {
        write!(out, "<a href=\"?find={query}#leases\">First</a>")?;
    }
    if let (true, Some(last)) = (more, found.last()) {
        write!(
            out,
            "<a href=\"?find={query}&amp;after={last}#leases\">Next</a>"
        )?;
    }
    if !find.is_empty() {
        out.push_str("<a href=\"?#leases\">All leases</a>");
    }
    out.push_str("</nav></section>");
    Ok(())
}

fn lease(out: &mut String, binding: &Binding<'_>, now: Instant) -> fmt::Result {
    let (expiry, tag) = match binding.state {
        BindingState::Leased { expiry } => (expiry, ""),
        BindingState::Offered { until } => (Expiry::At(until), " <span class=tag>offered</span>"),
        BindingState::Free | BindingState::Quarantined { .. } => return Ok(()),
    };
    write!(out, "<tr><td class=mono>{}{tag}<td>", binding.ip)?;
    match expiry {
        Expiry::Never => out.push_str("never"),
        Expiry::At(at) => write!(
            out,
            "<time datetime=\"{}\">{}</time>",
            time(at),
            in_words((at - now).as_secs())
        )?,
    }
    write!(
        out,
        "<td class=\"mono soft\">{}<td class=name>{}</tr>",
        binding.hardware,
        foreign(binding.host_name.unwrap_or_default())
    )
}

fn messages(out: &mut String, counters: &Counters) -> fmt::Result {
    out.push_str(
        "<section><div class=head><h2>Messages</h2><p>since the daemon was started</p></div>\
         <table><thead><tr><th>Type<th class=num>Received<th class=num>Sent</tr></thead><tbody>",
    );
    let mut row = |name: &dyn Display, received, sent| {
        let (received, sent) = (Count(received), Count(sent));
        write!(
            out,
            "<tr><td>{name}<td class=num>{received}<td class=num>{sent}</tr>"
        )
    };
    for (kind, name) in TYPES {
        let (received, sent) = (counters.received_of(kind), counters.sent_of(kind));
        if received + sent > 0 {
            row(&name.to_uppercase(), received, sent)?;
        }
    }
    row(&"of no known type", counters.untyped, 0)?;
    out.push_str("</tbody></table>");
    let drops = DropReason::ALL.map(|reason| (reason.name(), counters.drops(reason)));
    let mut drops = drops.into_iter().filter(|(_, count)| *count > 0).peekable();
    if drops.peek().is_some() {
        write!(
            out,
            "<p class=note>{} dropped: ",
            Grouped(counters.dropped())
        )?;
        for (nth, (name, count)) in drops.enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(out, "{comma}{} {}", Grouped(count), name.replace('_', " "))?;
        }
        out.push_str("</p>");
    }
    out.push_str("</section>");
    Ok(())
}

fn health(out: &mut String, status: &Status) -> fmt::Result {
    out.push_str("<section><div class=head><h2>Health</h2></div><dl class=facts>");
    for interface in &status.interfaces {
        write!(
            out,
            "<dt>{}</dt><dd><span class=mono>{}</span>, link {}, {}</dd>",
            foreign(&interface.name),
            foreign(interface.address.as_deref().unwrap_or("no address")),
            if interface.up { "up" } else { "down" },
            if interface.probes {
                "probes before it offers"
            } else {
                "does not probe"
            },
        )?;
    }
    write!(out, "<dt>Store</dt><dd>{}", foreign(status.store.kind))?;
    if let Some(path) = &status.store.path {
        write!(out, " in <span class=mono>{}</span>", foreign(path))?;
    }
    match &status.store.fault {
        None => out.push_str(", well</dd>"),
        Some(fault) => write!(out, ": {}</dd>", foreign(fault))?,
    }
    out.push_str("<dt>Sandbox</dt><dd>");
    for (part, holds) in status.sandbox.parts() {
        let name = part.replace('_', " ");
        let (class, mark) = if holds {
            ("good", "✓")
        } else {
            ("bad", "✗")
        };
        write!(out, "<span class=\"pill {class}\">{mark} {name}</span> ")?;
    }
    out.push_str("</dd>");
    if let Some(configuration) = &status.configuration {
        write!(
            out,
            "<dt>Configuration</dt><dd class=mono>{}</dd>",
            foreign(configuration)
        )?;
    }
    out.push_str("<dt>For programs</dt><dd><a href=\"metrics\">metrics</a>, <a href=\"healthz\">healthz</a></dd></dl></section>");
    Ok(())
}
