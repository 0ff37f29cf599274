//! The HTTP of `examples/dpdk_http`, without DPDK: on pipes in memory, cut into odd pieces, and with curl
//! on a socket of the kernel's.

mod arguments;
mod curl;
mod patience;
mod pipe;
mod protocol;

// For the name of its interface.
#[allow(dead_code)]
#[path = "../../examples/dpdk_http/demo.rs"]
mod demo;
#[path = "../../examples/dpdk_http/http/mod.rs"]
mod http;
#[path = "../../examples/dpdk_http/site.rs"]
mod site;
// For its clock, and its sockets of tokio's.
#[allow(dead_code)]
#[path = "../../examples/dpdk_http/kernel.rs"]
mod kernel;
#[allow(dead_code)]
#[path = "../../examples/dpdk_http/arguments.rs"]
mod options;

use std::cell::RefCell;

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
