//! The lottery's central.
//!
//! | file | what it is for |
//! |---|---|
//! | [`central`] | both protocols of the port: echo and the lottery, as a handler of the event loop |
//! | [`admin_service`] | serves the admin listener: what an operator sees |
//! | [`admin_listener`] | where it listens |
//! | [`admin_address`] | where that is: an address, or a name that is looked up |
//! | [`with_admin`] | both listeners, as one handler of the event loop |
//! | [`certificates`] | the certificates, keys and revocation lists that are in force |
//! | [`disk_thread`] | waits for the disk, so that the loop doesn't |
//! | [`etcd_links`] | connections to etcd's members |
//! | [`joining`] | joins a lottery that etcd keeps |
//! | [`lottery`] | how far each agency is, what a request does, the draw |
//! | [`row`] | a bet as a row of `bets.csv`, and back (`store_bets`, `load_bets`) |
//! | [`store`] | making durable what the lottery decides, in a [`ledger`] |
//! | [`winners_scan`] | reading winners from there, for all agencies that ask at once |
//! | [`startup_log`] | log lines of a start |
//! | [`opening`] | opens the ledger, and closes it in order |
//! | [`observable`] | the seam between the admin listener and what is looked at |
//! | [`recovering`] | what an operator sees while the ledger is being read |
//! | [`service_status`] | how the central stands, in one line for its service manager |
//! | [`passed_sockets`] | which socket that the service manager passes on is whose |
//! | [`server_error`] | why the server fails, and what to do about it |
//! | [`commands`] | what `server ledger` can do |
//! | [`keeping`] | doing it: check, export, backup and restore of a ledger |
//! | [`settings`] | what can be set: each setting and limit, declared once |
//! | [`config`] | what was set, as each part of the program takes it |
//! | [`ini`] | the file that it is set in |
//! | [`whole_file`] | a file that is complete or isn't there |
//! | [`exporting`] | writes the rows of a lottery that etcd keeps into a file |
//! | [`healthcheck`] | whether a running central answers |

pub mod admin_address;
pub mod admin_listener;
pub mod admin_service;
pub mod central;
pub mod certificates;
pub mod commands;
pub mod config;
pub mod disk_thread;
pub mod etcd_links;
pub mod exporting;
pub mod healthcheck;
pub mod ini;
pub mod joining;
pub mod keeping;
pub mod lottery;
pub mod observable;
pub mod opening;
pub mod passed_sockets;
pub mod recovering;
pub mod row;
pub mod server_error;
pub mod service_status;
pub mod settings;
pub mod startup_log;
pub mod store;
pub mod whole_file;
pub mod winners_scan;
pub mod with_admin;
