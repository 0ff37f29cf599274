//! Takes the configuration from the environment, and says what is wrong with it; hands the linker its
//! scripts.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// A setting that cannot be used, and why.
struct Wrong(String);

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    link(&out);
    let mut config = Config::default();
    config.text(
        "SSID",
        "WHOHAS_WIFI_SSID",
        "the name of the Wi-Fi network",
        None,
        |ssid| {
            (1..=32)
                .contains(&ssid.len())
                .then_some(())
                .ok_or("a name has 1 to 32 bytes")
        },
    );
    let about = "its passphrase; empty for a network without one";
    config.text(
        "PASSPHRASE",
        "WHOHAS_WIFI_PASSPHRASE",
        about,
        None,
        |passphrase| {
            let fits = passphrase.is_empty() || (8..=63).contains(&passphrase.len());
            fits.then_some(())
                .ok_or("a passphrase has 8 to 63 characters")
        },
    );
    config.server(
        "BROKER",
        "WHOHAS_BROKER",
        "the MQTT 5 broker, as `host` or `host:port`",
        1883,
    );
    let about = "the OTLP/HTTP collector, as `host` or `host:port`";
    config.server("COLLECTOR", "WHOHAS_COLLECTOR", about, 4318);
    let about = "what this device is called, and nobody else at its broker";
    let device = config.text("DEVICE", "WHOHAS_DEVICE", about, Some("pico-2w"), |name| {
        let of_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = (1..=63).contains(&name.len()) && name.bytes().all(of_host);
        fits.then_some(())
            .ok_or("a name has 1 to 63 letters, digits and hyphens")
    });
    for topic in ["command", "presence", "state"] {
        let name = format!("{}_TOPIC", topic.to_uppercase());
        config.constant(&name, "&str", &format!("{:?}", format!("{device}/{topic}")));
    }
    for Wrong(why) in &config.wrong {
        println!("cargo::error={why}");
    }
    fs::write(out.join("config.rs"), config.source).expect("OUT_DIR is writable");
}

fn link(out: &std::path::Path) {
    fs::copy("memory.x", out.join("memory.x")).expect("OUT_DIR is writable");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// The settings as constants.
#[derive(Default)]
struct Config {
    source: String,
    wrong: Vec<Wrong>,
}

impl Config {
    fn text(
        &mut self,
        name: &str,
        variable: &str,
        about: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) -> String {
        let value = self.value(variable, about, default);
        if let Some(value) = &value
            && let Err(why) = check(value)
        {
            self.wrong.push(Wrong(format!(
                "{variable} ({about}) is {value:?}, but {why}"
            )));
        }
        let value = value.unwrap_or_default();
        self.constant(name, "&str", &format!("{value:?}"));
        value
    }

    fn server(&mut self, name: &str, variable: &str, about: &str, port: u16) {
        let value = self.value(variable, about, None).unwrap_or_default();
        let (host, port) = match value.rsplit_once(':') {
            None => (value.as_str(), Some(port)),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)),
        };
        let of_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(of_host);
        if !value.is_empty() && (!fits || port.is_none()) {
            let why = format!("{variable} is {value:?}, but should be {about}");
            self.wrong.push(Wrong(why));
        }
        let server = format!(
            "Server {{ host: {host:?}, port: {} }}",
            port.unwrap_or_default()
        );
        self.constant(name, "Server", &server);
    }

    fn value(&mut self, variable: &str, about: &str, default: Option<&str>) -> Option<String> {
        println!("cargo::rerun-if-env-changed={variable}");
        let value = env::var(variable).ok();
        // Only a passphrase can be empty, and its check knows that.
        let value = value.or_else(|| default.map(str::to_owned));
        if value
            .as_ref()
            .is_none_or(|value| value.is_empty() && !about.contains("empty"))
        {
            let why = format!("{variable} is not set: give it {about} and build again");
            self.wrong.push(Wrong(why));
            return None;
        }
        value
    }

    fn constant(&mut self, name: &str, of: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.source, "pub const {name}: {of} = {value};");
    }
}
