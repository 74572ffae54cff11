//! The examples, as a person would try them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for something that must come; far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An example that runs. Killed when it is dropped.
struct Example {
    child: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let test = std::env::current_exe().expect("it has a name");
        let folder = test.ancestors().nth(2).expect("cargo puts tests into deps/");
        let mut command = Command::new(folder.join("examples").join(name));
        let mut child = command
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("made by a plain `cargo test`, or by `cargo build --examples`");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("listening at ").expect("the address").to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "it doesn't end");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn echo_sends_back_what_it_gets() {
    let example = Example::start("echo");
    let mut stream = example.connect();
    stream.write_all(b"hola\nno newline").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert_eq!(answer, "hola\nno newline");
    example.stop();
}

#[test]
fn in_the_chat_the_others_hear_whole_lines() {
    let example = Example::start("chat");
    let (mut one, two) = (example.connect(), example.connect());
    let (mut one_hears, mut two_hears) =
        (BufReader::new(one.try_clone().expect("once more")), BufReader::new(two));
    let mut received = String::new();
    // Until both are in, neither receives anything: the second says something first.
    two_hears.get_mut().write_all(b"hello\n").expect("sent");
    one_hears.read_line(&mut received).expect("received");
    assert!(received.ends_with(": hello\n"), "{received}");
    one.write_all(b"in pie").expect("sent");
    one.write_all(b"ces\nand more").expect("sent");
    received.clear();
    two_hears.read_line(&mut received).expect("received");
    let speaker = one.local_addr().expect("it is connected");
    assert_eq!(received, format!("{speaker}: in pieces\n"));
    example.stop();
}
