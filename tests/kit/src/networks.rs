//! Networks of a test's own, and hosts on them: processes run on a host, and a host's link to a network can
//! be cut, deafened or made narrow while they do.
//!
//! ```text
//!   host m0                    switch                      host c0
//!   peers  ───────── m0-peers ─[peers]
//!   etcd   ───────── m0-etcd ──[etcd]── c0-etcd ────────── etcd
//!                          [agencies]── c0-agencies ────── agencies
//! ```
//!
//! Each host, and the switch with a bridge for each network, is a network namespace of Linux. They belong to
//! a process that holds them and to those that run there: the kernel removes them with the last of these, so
//! nothing is left, however a test ends, and nothing can meet the machine's own networks. It takes the
//! rights that `unshare --map-root-user` takes.
//!
//! Knows nothing of what runs on the hosts.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::process::output;

/// What holds the namespaces: their names are in a folder that it alone sees, and it ends with its input.
const HOLD: &str = "mount -t tmpfs tmpfs /run && mkdir /run/netns && echo ready && exec cat";

/// Where `ip`, `bridge` and `tc` are, for users in whose `PATH` they aren't.
const PATHS: &str = "PATH=$PATH:/usr/sbin:/sbin\n";

/// What the switch's port to a host lets through when nothing is wrong, as the kernel numbers it.
const FORWARDING: u8 = 3;
/// The same of a port that is cut: whatever comes from either side is dropped, and nobody is told.
const DISABLED: u8 = 0;

/// A queue that takes no frame of any size.
const DEAF: &str = "tbf rate 8bit burst 10b limit 10b";

/// Networks and hosts. All of it is gone when this is dropped and what runs there has ended.
#[derive(Debug)]
pub struct Networks {
    holder: Child,
}

/// A host. Knows how a process gets there.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    /// The words before the program.
    enter: Vec<String>,
}

impl Networks {
    /// None yet.
    ///
    /// # Panics
    /// Where the rights are missing.
    pub fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux, is installed by `.ci/setup test`");
        let (mut said, mut complaint) = (String::new(), String::new());
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut said).expect("text");
        if said != "ready\n" {
            let stderr = holder.stderr.as_mut().expect("it is piped");
            stderr.read_to_string(&mut complaint).expect("text");
        }
        assert!(
            said == "ready\n",
            "this test needs network namespaces of its own (unshare --map-root-user --net --mount), and \
             may not have them: {complaint}run it as root, in a container with --cap-add SYS_ADMIN"
        );
        Self { holder }
    }

    /// A network, with no host on it. At most eight letters.
    pub fn add_network(&self, network: &str) {
        self.run(&format!("ip link add {network} type bridge && ip link set {network} up"));
    }

    /// A host, with an address on each of these networks, of 24 bits each. At most six letters.
    pub fn add_host(&self, name: &str, links: &[(&str, Ipv4Addr)]) -> Host {
        let mut steps =
            vec![format!("ip netns add {name}"), format!("ip -n {name} link set lo up")];
        for (network, address) in links {
            let port = port(name, network);
            steps.extend([
                format!("ip link add {port} type veth peer name {network} netns {name}"),
                format!("ip link set {port} master {network} up"),
                format!("ip -n {name} addr add {address}/24 dev {network}"),
                format!("ip -n {name} link set {network} up"),
            ]);
        }
        self.run(&steps.join(" && "));
        let holder = self.holder.id();
        // The holder's files as it sees them.
        let seen = format!("/proc/{holder}/root");
        let enter = [
            "--target",
            &holder.to_string(),
            "--user",
            "--preserve-credentials",
            &format!("--net={seen}/run/netns/{name}"),
        ];
        Host { name: name.to_owned(), enter: enter.map(str::to_owned).to_vec() }
    }

    /// From now on nothing gets through between a host and a network, in either direction, and nobody is
    /// told: as if a cable was pulled out somewhere on the way.
    pub fn cut(&self, host: &Host, network: &str) {
        self.set_state(host, network, DISABLED);
    }

    /// From now on nothing gets from a network to a host; what the host sends arrives.
    pub fn deafen(&self, host: &Host, network: &str) {
        self.shape(host, network, DEAF);
    }

    /// From now on so many million bits a second get from a network to a host. What is more waits for up to
    /// 40 ms, and is lost beyond that: so the link is slow, uneven, and loses some.
    pub fn narrow(&self, host: &Host, network: &str, megabits: u32) {
        let queue = format!("tbf rate {megabits}mbit burst 32kb latency 40ms");
        self.shape(host, network, &queue);
    }

    /// Undoes all of these.
    pub fn mend(&self, host: &Host, network: &str) {
        self.set_state(host, network, FORWARDING);
        let port = port(&host.name, network);
        // There may be none.
        self.run(&format!("tc qdisc del dev {port} root 2> /dev/null || true"));
    }

    fn set_state(&self, host: &Host, network: &str, state: u8) {
        let port = port(&host.name, network);
        self.run(&format!("bridge link set dev {port} state {state}"));
    }

    fn shape(&self, host: &Host, network: &str, queue: &str) {
        let port = port(&host.name, network);
        self.run(&format!("tc qdisc replace dev {port} root {queue}"));
    }

    /// Does something at the switch.
    fn run(&self, script: &str) {
        let target = self.holder.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--user", "--preserve-credentials", "--mount", "--net"]);
        command.args(["sh", "-c"]).arg([PATHS, script].concat());
        let ended = output(&mut command);
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{script}: {complaint}");
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // It has ended already when the test's input to it was lost.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Host {
    /// The same command, on this host, with no environment but the command's own. The process that is started
    /// becomes the program.
    pub fn command(&self, plain: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.args(&self.enter).arg(plain.get_program()).args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

/// The switch's end of a host's link.
fn port(host: &str, network: &str) -> String {
    format!("{host}-{network}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::{Cluster, Site};

    /// What curl says when nothing has come within its time.
    const TIMED_OUT: i32 = 28;

    #[test]
    fn hosts_reach_each_other_unless_their_link_is_cut_or_deaf() {
        let networks = Networks::new();
        networks.add_network("net");
        let one = networks.add_host("one", &[("net", [10, 9, 0, 1].into())]);
        let address = [10, 9, 0, 2].into();
        let other = networks.add_host("other", &[("net", address)]);
        let site = Site { host: other, client: address, peer: address };
        let etcd = Cluster::on_hosts(vec![site], one.clone());
        let is_answered = || etcd.call(0, "/v3/maintenance/status", "{}").is_some();
        let in_vain = || {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--max-time", "1", "http://10.9.0.2:2379/health"]);
            output(&mut one.command(&curl)).status.code() == Some(TIMED_OUT)
        };
        assert!(is_answered() && !in_vain());
        networks.cut(&one, "net");
        assert!(in_vain());
        networks.mend(&one, "net");
        assert!(is_answered());
        networks.deafen(&one, "net");
        assert!(in_vain());
        networks.mend(&one, "net");
        networks.narrow(&one, "net", 1);
        assert!(is_answered());
    }
}
