//! `examples/dpdk_http`: its HTTP without DPDK, on pipes in memory, cut into odd pieces, and with curl on
//! a socket of the kernel's; and the program itself, with the kernel at the other end of its cable.

mod arguments;
mod curl;
mod kernel;
mod patience;
mod pipe;
mod program;
mod protocol;

// For the name of its interface.
#[allow(dead_code)]
#[path = "../../examples/dpdk_http/demo.rs"]
mod demo;
#[path = "../../examples/dpdk_http/http/mod.rs"]
mod http;
#[allow(dead_code)]
#[path = "../../examples/dpdk_http/arguments.rs"]
mod options;
#[path = "../../examples/dpdk_http/site.rs"]
mod site;

use std::cell::RefCell;

use whohas_lab as support;

use http::{Answer, Site, Status};

/// The example's pages, and what was answered.
#[derive(Default)]
struct Pages {
    answered: RefCell<Vec<Status>>,
}

impl Site for Pages {
    fn answer(&self, path: &str) -> Option<Answer> {
        site::answer(path, || r#"{"queues":[]}"#.to_owned())
    }

    fn answered(&self, status: Status) {
        self.answered.borrow_mut().push(status);
    }
}
